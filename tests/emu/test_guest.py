# SPDX-License-Identifier: Apache-2.0
"""A stock Debian guest runs as a realm."""

import base64
import hashlib
import os

import pytest

import attestlib
from guestlib import Console, kcorectl, launch, memory_in_use, read_identity, tiny_image

# Emulation in emulation: a guest's boot takes half a minute on a quiet machine.
GUEST_BOOT_TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))
CYCLES = 50

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def guest(boot_shared):
    """The stock guest, logged in: 2 vCPUs, 512 MiB, disk and network."""
    server = boot_shared()
    before = memory_in_use(server)
    launch(server, "stock", "--kernel /srv/guest/Image --initrd /srv/guest/initrd.img"
           " --append \"$(cat /srv/guest/cmdline)\" --disk /srv/guest/root.img --memory 512M --vcpus 2 --network user")
    console = Console(server, "stock")
    console.before = before
    try:
        console.log_in(GUEST_BOOT_TIMEOUT)
    except BaseException:
        console.close()
        raise
    yield console
    console.close()
    if server.running():
        server.run("kcorectl stop --force stock", check=False)


def test_kernel_does_not_talk_into_commands(guest):
    """As its watchdog does on a busy machine, at the highest level; what else the tests read would have words too many."""
    assert guest.run("echo '<0>a word of the kernel' >/dev/kmsg; echo answer") == "answer\n"
    assert "a word of the kernel" in guest.run("dmesg | tail -n 20")


def test_guest_is_a_realm(server, guest):
    assert "RME: Using RSI version 1.0" in guest.run("dmesg | grep RSI")
    state = kcorectl(server, "show stock")[0]
    assert state["guest"]["status"] == "running"
    assert state["runtime"]["realm"]["state"] == "active"


def test_guest_runs_the_stock_kernel(server, guest):
    assert guest.run("uname -r").strip() == server.run("cat /srv/guest/version").stdout.strip()
    assert "+deb13-cloud-arm64" in guest.run("uname -r")


def test_guest_has_two_vcpus(server, guest):
    assert guest.run("nproc").strip() == "2"
    for cpu in (0, 1):
        assert guest.run(f"taskset -c {cpu} sh -c 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; echo $i'").strip() == "2000"


def test_guest_has_its_memory(server, guest):
    total = int(guest.run("awk '/MemTotal/ {print $2}' /proc/meminfo"))
    assert 400 << 10 < total <= 512 << 10
    granules, realms = memory_in_use(server)
    assert realms == guest.before[1] + 1
    # What the guest touched is not the host's: the kernel alone is 40 MiB.
    assert granules - guest.before[0] > (40 << 20) // 4096


def test_no_unit_failed(server, guest):
    guest.run("systemctl is-system-running --wait", check=False, timeout=300)
    assert guest.run("systemctl --failed --no-legend --plain").strip() == ""


def test_guest_network_pings(server, guest):
    guest.run("for i in $(seq 60); do ip route | grep -q default && break; sleep 1; done", timeout=120)
    guest.run("ping -c 3 -W 5 10.0.2.2")


def test_guest_network_loads(server, guest):
    data = os.urandom(8 << 20)
    server.put(data, "/tmp/www/data")
    server.run("systemd-run --unit=test-www --working-directory=/tmp/www python3 -m http.server --bind 127.0.0.1 8000")
    try:
        guest.run("for i in $(seq 30); do curl -sf -o /dev/null http://10.0.2.2:8000/ && break; sleep 1; done", timeout=120)
        got = guest.run("curl -sf http://10.0.2.2:8000/data | sha256sum", timeout=300).split()[0]
    finally:
        server.run("systemctl stop test-www; rm -r /tmp/www")
    assert got == hashlib.sha256(data).hexdigest()


def test_guest_disk_keeps_what_is_written(server, guest):
    guest.run("dd if=/dev/urandom of=/var/tmp/a bs=64k count=256 status=none && sync", timeout=300)
    guest.run("dd if=/var/tmp/a of=/var/tmp/b bs=64k oflag=direct status=none", timeout=300)
    first = guest.run("sha256sum </var/tmp/a", timeout=300)
    guest.run("echo 3 >/proc/sys/vm/drop_caches")
    assert guest.run("dd if=/var/tmp/b bs=64k iflag=direct status=none | sha256sum", timeout=300) == first
    assert guest.run("sha256sum </var/tmp/a", timeout=300) == first
    guest.run("dd if=/dev/zero of=/var/tmp/b bs=4k count=1 seek=7 conv=notrunc oflag=direct status=none")
    assert guest.run("sha256sum </var/tmp/b", timeout=300) != first
    guest.run("rm /var/tmp/a /var/tmp/b")


def tokens(guest, cpu, challenges):
    """Shell text: tokens for these challenges by the driver of the stock kernel, from one CPU, one a line."""
    report = f"/sys/kernel/config/tsm/report/cpu{cpu}"
    steps = "".join(f"echo {base64.b64encode(c).decode()} | base64 -d >{report}/inblob || exit 1; base64 -w0 {report}/outblob;"
                    f" echo; cat {report}/generation >&2; " for c in challenges)
    return f"taskset -c {cpu} sh -c 'mkdir {report} || exit 1; {steps} rmdir {report}' >/tmp/tokens{cpu} 2>/tmp/err{cpu}"


def test_guest_gets_tokens_on_two_vcpus_at_once(server, guest):
    """The stock driver (arm-cca-guest, by configfs-tsm) gets them; an implementation that is not ours verifies."""
    identity = attestlib.Identity(read_identity(server))
    guest.run("modprobe arm_cca_guest; mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config")
    challenges = [[os.urandom(64) for _ in range(4)] for _ in range(2)]
    guest.run(f"{tokens(guest, 0, challenges[0])} & {tokens(guest, 1, challenges[1])}; wait", timeout=300)
    seen = set()
    for cpu in (0, 1):
        lines = guest.run(f"cat /tmp/tokens{cpu}").split()
        assert len(lines) == len(challenges[cpu]), guest.run(f"cat /tmp/err{cpu}")
        for challenge, line in zip(challenges[cpu], lines):
            token = attestlib.Token(base64.b64decode(line), identity.platform)
            token.check(identity, challenge)
            assert token.tag == 399 and len(base64.b64decode(line)) <= 4096
            seen.add((token.realm[44238], token.realm[44237]))
    assert len(seen) == 1
    assert identity.lifecycle == 0x3000
    guest.run("rm /tmp/tokens? /tmp/err?")


def test_guest_under_stress(server, guest):
    guest.run("stress-ng --cpu 2 --vm 2 --vm-bytes 48M --switch 1 --hdd 1 --hdd-bytes 16M --verify --timeout 20s"
              " --temp-path /var/tmp", timeout=300)


def test_guest_powers_off_when_asked_and_memory_comes_back(server, guest):
    """A stock kernel and systemd hear the power key, which kcore-guests.service presses when the machine goes down.
    The last test of this guest: it is gone afterwards."""
    server.run("systemctl stop kcore-guests", timeout=420)
    words = server.run("journalctl -b --no-pager -o cat -u kcore-guests; systemctl start kcore-guests").stdout
    assert "Stopped stock.\n" in words, guest.text[-2000:]
    guest.reader.join(30)
    assert "reboot: Power down" in guest.text
    assert memory_in_use(server) == guest.before


def test_launch_and_stop_many_times(server):
    """Every granule comes back, each time."""
    server.put(tiny_image(), "/tmp/tiny")
    before = memory_in_use(server)
    for i in range(CYCLES):
        launch(server, "tiny", f"--kernel /tmp/tiny --memory 64M --vcpus {1 + i % 2}")
        during = memory_in_use(server)
        assert during[1] == before[1] + 1 and during[0] > before[0]
        kcorectl(server, "stop --force tiny")
        assert memory_in_use(server) == before, f"cycle {i}"


def test_a_start_that_systemd_delays(server):
    """systemd may keep the start of a unit waiting; the unit is "inactive" all the while, but has not ended."""
    server.put(tiny_image(), "/tmp/tiny")
    before = memory_in_use(server)
    server.run("mkdir -p /run/systemd/system/kcore-guest-late.service.d\n"
               "printf '[Service]\\nType=oneshot\\nExecStart=sleep 3\\n' >/run/systemd/system/wait-a-moment.service\n"
               "printf '[Unit]\\nWants=wait-a-moment.service\\nAfter=wait-a-moment.service\\n'"
               " >/run/systemd/system/kcore-guest-late.service.d/wait.conf\n"
               "systemctl daemon-reload")
    try:
        launch(server, "late", "--kernel /tmp/tiny --memory 64M")
        assert kcorectl(server, "show late")[0]["guest"]["status"] == "running"
        assert server.run("systemctl show -P ExecMainStartTimestampMonotonic wait-a-moment.service").stdout.strip() != "0"
    finally:
        server.run("kcorectl stop --force late; systemctl stop kcore-guest-late; rm -r /run/systemd/system/kcore-guest-late.service.d"
                   " /run/systemd/system/wait-a-moment.service; systemctl daemon-reload", check=False)
    assert memory_in_use(server) == before


def test_two_guests_at_once(server):
    server.put(tiny_image(), "/tmp/tiny")
    before = memory_in_use(server)
    try:
        launch(server, "one", "--kernel /tmp/tiny --memory 64M")
        launch(server, "two", "--kernel /tmp/tiny --memory 64M --vcpus 8")
        assert memory_in_use(server)[1] == before[1] + 2
        names = {g["guest"]["name"]: g["status"] for g in kcorectl(server, "list")[0]["guests"]}
        assert names["one"] == names["two"] == "running"
    finally:
        stopped = server.run("kcorectl stop --force --all").stdout
    assert sorted(stopped.splitlines()) == ["Stopped one by force.", "Stopped two by force."]
    assert memory_in_use(server) == before
