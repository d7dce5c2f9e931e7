# SPDX-License-Identifier: Apache-2.0
"""A guest launched by kcorectl on the full server: root attacks it through its QEMU, and a malicious guest
(guest/wild.c) is launched like any other."""

import pathlib
import re
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from guestlib import kcorectl, launch, memory_in_use, tiny_image  # noqa: E402

KERNEL_OFFSET = 0x200000   # of the payload in the guest's RAM
ATTEMPTS = ["proc-mem-read", "proc-mem-write", "process-vm-readv", "process-vm-writev", "ptrace-read", "ptrace-write"]

pytestmark = pytest.mark.timeout(1800)


def wait_ended(server, name, timeout=900):
    end = time.monotonic() + timeout
    while kcorectl(server, f"show {name}")[0]["guest"]["status"] not in ("exited", "failed"):
        assert time.monotonic() < end, f"guest {name} does not end"
        time.sleep(0.5)


def wait_returned(server, before, timeout=60):
    end = time.monotonic() + timeout
    while memory_in_use(server) != before:
        assert time.monotonic() < end, f"{memory_in_use(server)} in use, {before} before"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def still(boot_shared, tmp_path_factory):
    """A guest that waits for interrupts for ever: (server, QEMU's process id)."""
    server = boot_shared()
    before = memory_in_use(server)
    image = tmp_path_factory.mktemp("still") / "still.bin"
    image.write_bytes(tiny_image())
    server.put(str(image), "/tmp/still.bin")
    server.put(str(HERE / "host/qemu_attack.py"), "/tmp/qemu_attack.py")
    launch(server, "still", "--kernel /tmp/still.bin --memory 64M --vcpus 1 --network none")
    yield server, kcorectl(server, "show still")[0]["runtime"]["pid"]
    server.run("kcorectl stop --force still", check=False)
    wait_returned(server, before)


@pytest.fixture(scope="module")
def report(still):
    server, pid = still
    out = server.run(f"python3 /tmp/qemu_attack.py {pid} {KERNEL_OFFSET:#x}").stdout
    return dict(line.split(maxsplit=1) for line in out.splitlines())


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_root_attacks_through_qemu(report, attempt):
    assert report[attempt] in ("refused EIO", "refused EFAULT"), report


def test_root_attacks_by_physical_address(still, report, parts):
    """KServ stops the attempts above by itself. Here root loads a kernel module that does not ask it: KCore
    refuses, and records it."""
    server, _ = still
    pa = int(report["pa"], 16)
    assert pa >= 0x40000000, "the kernel does not tell the page's address"
    for name in ("attack", "kcore_attack.ko"):
        server.put(str(parts.directory / name), f"/tmp/{name}")
    page = f"{pa:x}"
    commands = [f"rd l {page} 8", f"wr l {page} eeeeeeeeeeeeeeee", f"urd {page} 8", f"uwr {page} eeeeeeeeeeeeeeee"]
    out = server.run("chmod +x /tmp/attack; /tmp/attack /tmp/kcore_attack.ko",
                     input="".join(c + "\n" for c in commands) + "quit\n").stdout
    answers = [line.split()[1] for line in out.splitlines() if line.startswith("@ ")]
    assert answers == ["ready", "EFAULT", "EFAULT", "SIGBUS", "SIGBUS"], out
    assert f"host: access refused: ipa, syndrome: 0x{page}" in server.run("kcorectl log").stdout


def test_guest_and_server_go_on(still, report):
    server, _ = still
    assert kcorectl(server, "show still")[0]["guest"]["status"] == "running"
    assert server.running() and report


def test_wild_guest(server, parts):
    before = memory_in_use(server)
    server.put(str(parts.directory / "wild.bin"), "/tmp/wild.bin")
    launch(server, "wild", '--kernel /tmp/wild.bin --append "seed=3 rounds=400" --memory 64M --vcpus 1 --network none')
    wait_ended(server, "wild")
    text = server.run("kcorectl log wild").stdout
    done = re.search(r"WILD DONE calls=\w+ traps=\w+ bad=(\w+)", text)
    assert done and done[1] == "0", text
    assert "BAD" not in text
    server.run("kcorectl stop --force wild", check=False)
    wait_returned(server, before)
    assert server.run("echo alive").stdout.strip() == "alive"
