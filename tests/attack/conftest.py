# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the attack tests.

    parts    what tests/attack/build made: module, initrd, guests
    arena    the small attack machine with KCore as it is, and a victim realm
    weak     the same with a weakened KCore (parametrised by attacks.weakened())
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT / "emu"), str(HERE)]

import kserv  # noqa: E402
import attacks  # noqa: E402
from attacks import Arena  # noqa: E402
from machine import Machine  # noqa: E402
from rmi import Rmi  # noqa: E402

CACHE = pathlib.Path(kserv.cache_dir()) / "attack"


def _run(*command, **settings):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **settings)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}", pytrace=False)
    return done.stdout


def _need(variable, default):
    path = pathlib.Path(os.environ.get(variable) or default)
    if not path.exists():
        pytest.fail(f"{path} does not exist: build it, or set {variable}", pytrace=False)
    return path


@dataclasses.dataclass
class Parts:
    directory: pathlib.Path
    kcore: pathlib.Path
    kernel: pathlib.Path


@pytest.fixture(scope="session")
def parts():
    directory = CACHE / "parts"
    _run(HERE / "build", directory)
    cache = pathlib.Path(kserv.cache_dir())
    return Parts(directory, _need("KCORE_BIN", cache / "build/hyp/hyp/kcore.bin"),
                 _need("KCORE_KERNEL", cache / "kserv/current/Image"))


@contextlib.contextmanager
def booted(parts, name, kcore, **settings):
    machine = Machine(f"test-{os.environ.get('KCORE_LEVEL', 'hand')}-{name}", str(kcore), str(parts.kernel), str(parts.directory / "initrd.gz"), **settings)
    try:
        machine.boot(float(os.environ.get("KCORE_BOOT_TIMEOUT", "180")))
        yield Arena(machine, Rmi(machine), (parts.directory / "puppet.bin").read_bytes(),
                    (parts.directory / "wild.bin").read_bytes(), pathlib.Path(kcore).read_bytes())
    finally:
        machine.stop()


class Pool:
    """The machines that the refusals share, one per set of settings; a test that breaks its machine costs
    the next one a boot."""

    def __init__(self, parts):
        self.parts, self.open, self.boots = parts, {}, 0

    def get(self, settings=()):
        if settings not in self.open:
            self.boots += 1
            context = booted(self.parts, f"{os.getpid()}-{self.boots}", self.parts.kcore, **dict(settings))
            arena = context.__enter__()
            self.open[settings] = context, arena
            arena.new_victim()
        return self.open[settings][1]

    def drop(self, settings):
        context, _ = self.open.pop(settings, (None, None))
        if context:
            context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def pool(parts):
    p = Pool(parts)
    yield p
    for settings in list(p.open):
        p.drop(settings)


@pytest.fixture
def arena(pool, request):
    """request.param: settings of the machine, if it is not the usual one."""
    settings = getattr(request, "param", ())
    yield pool.get(settings)
    if getattr(request.node, "failed", False):
        pool.drop(settings)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.failed = True


# --- weakened cores --------------------------------------------------------------------------------

def _sources():
    for top in ("hyp", "scripts/meson", "proofs/tools"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.parent.name != "tests":
                yield path.relative_to(ROOT)
    yield from map(pathlib.Path, ("meson.build", "meson.options"))


def build_weak(name):
    """kcore.bin with weak/NAME.patch applied. One copy of the tree serves all, also all workers: each build first
    takes back what the patch before changed, so that little is compiled."""
    (CACHE / "weak").mkdir(parents=True, exist_ok=True)
    with open(CACHE / "weak" / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build_weak(name)


def _build_weak(name):
    patch, top = HERE / "weak" / f"{name}.patch", CACHE / "weak"
    digest, contents = hashlib.sha256(patch.read_bytes()), {}
    for path in _sources():
        contents[path] = (ROOT / path).read_bytes()
        digest.update(str(path).encode() + b"\0" + contents[path])
    image, key = top / f"{name}.bin", top / f"{name}.key"
    if image.exists() and key.exists() and key.read_text() == digest.hexdigest():
        return image
    source, build = top / "src", top / "build"
    for path, content in contents.items():
        copy = source / path
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            shutil.copymode(ROOT / path, copy)
    _run("patch", "-p1", "--fuzz=2", "--no-backup-if-mismatch", "-i", patch, cwd=source)
    if not (build / "build.ninja").exists():
        shutil.rmtree(build, ignore_errors=True)
        _run("meson", "setup", "--cross-file", source / "scripts/meson/aarch64-none-elf.ini", "--buildtype=release",
             "-Dparts=hyp", build, cwd=source)
    _run("ninja", "-C", build)
    shutil.copy(build / "hyp/kcore.bin", image)
    key.write_text(digest.hexdigest())
    return image


def pytest_collection_modifyitems(items):
    """Tests of one weakness after each other, behind all others: they share a machine."""
    def key(item):
        weak = getattr(item, "callspec", None) and item.callspec.params.get("weak")
        return (0, "", ()) if weak is None else (1, weak[0], weak[1])
    items.sort(key=key)


@pytest.fixture(scope="session")
def weak(parts, request):
    """A machine with a weakened KCore."""
    name, settings = request.param
    kcore = build_weak(name)
    with booted(parts, f"{os.getpid()}-weak-{name}", kcore, **dict(settings)) as arena:
        yield arena


# --- the table: each attack with its protection on and off ------------------------------------------

_results = {}


def pytest_runtest_logreport(report):
    name, _, case = report.nodeid.rpartition("::")[2].partition("[")
    case = case.rstrip("]")
    if not case or (report.when != "call" and report.passed):
        return
    words = {"test_refused": "on", "test_succeeds_without_the_protection": "off"}
    if "test_attacks.py" in report.nodeid and name in words:
        for attack in attacks.ATTACKS:
            if case in (attack.name, f"{attack.weak}-{attack.name}"):
                verdict = {"on": "refused", "off": "succeeded"}[words[name]] if report.passed else report.outcome.upper()
                _results.setdefault(attack.name, {})[words[name]] = verdict


def pytest_terminal_summary(terminalreporter):
    if not _results:
        return
    terminalreporter.section("attacks")
    terminalreporter.write_line(f"{'attack':52} {'protection on':14} protection off")
    for attack in attacks.ATTACKS:
        if attack.name in _results:
            got = _results[attack.name]
            off = got.get("off", "-" if attack.weak is None else "not run")
            terminalreporter.write_line(f"{attack.name:52} {got.get('on', 'not run'):14} {off}"
                                        + (f" ({attack.weak})" if attack.weak else ""))
