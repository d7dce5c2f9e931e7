# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests that need the emulated server.

    server          one booted server, shared by all tests of a pytest worker: 4
                    CPUs, 4 GiB, KCore at EL2. A test leaves it as it found it. A
                    server that a test broke is replaced for the tests after it.
    boot_shared     the same, for fixtures that outlive a test
    boot            a function that boots a server of its own:
                    boot(cpus=1, cpu="cortex-a53", ...)
    new_name        a function: the name of a server that there was not yet
    http_directory  a directory of this machine that the server sees as
                    http_directory.url

What a server is made of comes from the environment, see emu/kserv.py.
"""

import functools
import http.server
import os
import pathlib
import secrets
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "emu")]
import kserv  # noqa: E402

# How long a boot may take. TCG on a slow or busy machine is slow.
BOOT_TIMEOUT = float(os.environ.get("KCORE_BOOT_TIMEOUT", "300"))

# Levels may run at the same time: each knows its servers by their names.
PREFIX = f"test-{os.environ.get('KCORE_LEVEL', 'hand')}-"

_shared = []


def pytest_sessionstart(session):
    """Keeps the logs of the last run only. The controller does it, before there
    are workers, whose servers it would take for old ones."""
    if hasattr(session.config, "workerinput"):
        return
    for name in kserv.servers():
        if name.startswith(PREFIX) and not kserv.Server(name).running():
            kserv.remove(name)


def _new_name():
    return PREFIX + secrets.token_hex(4)


@pytest.fixture(scope="session")
def new_name():
    return _new_name


def _boot(**settings):
    config = kserv.Config(mode=os.environ.get("KCORE_TEST_MODE", "kcore"))
    for key, value in settings.items():
        assert hasattr(config, key), key
        setattr(config, key, value)
    s = kserv.Server(_new_name(), config)
    s.start(die_with_parent=True)
    try:
        s.boot_seconds = s.wait_ssh(BOOT_TIMEOUT)
    except BaseException:
        s.stop()
        raise
    return s


@pytest.fixture(scope="session")
def boot_shared():
    """A function that returns the shared server, booted if need be. For
    fixtures that outlive a test; tests take `server`."""
    def get():
        if _shared and not _shared[0].running():
            _shared.pop().stop()
        if not _shared:
            _shared.append(_boot())
        return _shared[0]

    yield get
    while _shared:
        _shared.pop().stop()


@pytest.fixture
def server(boot_shared, request):
    """The shared server. Complaints of its kernel fail the test during which
    they came, unless the test is marked kernel_complains."""
    s = boot_shared()
    offset = len(s.console_text())
    yield s
    if not s.running():
        pytest.fail(f"the test left the server dead{s._tail()}")
    complaints = s.complaints(offset)
    if complaints and not request.node.get_closest_marker("kernel_complains"):
        pytest.fail("the server's kernel complained:\n" + "\n".join(complaints))


@pytest.fixture
def boot():
    """Boots servers that end with the test."""
    booted = []

    def start(**settings):
        s = _boot(**settings)
        booted.append(s)
        return s

    yield start
    for s in booted:
        s.stop()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def http_directory(tmp_path):
    """A directory served by HTTP; .url is how the emulated server reaches it."""
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=tmp_path))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()

    class Directory:
        path = tmp_path
        url = f"http://10.0.2.2:{httpd.server_address[1]}"

    yield Directory
    httpd.shutdown()
    httpd.server_close()


def pytest_configure(config):
    config.addinivalue_line("markers", "kernel_complains: the server's kernel is expected to report errors")
