# SPDX-License-Identifier: Apache-2.0
"""Linux runs under KCore as it runs on the bare machine."""

import hashlib
import os
import time

import pytest


def sha256(server, path):
    return server.run(f"sha256sum {path}", timeout=300).stdout.split()[0]


def compatible_strings(server):
    found = server.run("find /sys/firmware/devicetree/base -name compatible -exec cat {} + | tr '\\0' '\\n'").stdout.split()
    assert "arm,gic-v3" in found and "arm,pl011" in found
    return found


def test_linux_runs_at_el1(server):
    assert "CPU: All CPU(s) started at EL1" in server.run("dmesg").stdout


def test_all_cpus_are_online(server):
    assert server.run("nproc").stdout.strip() == "4"
    assert server.run("cat /sys/devices/system/cpu/online").stdout.strip() == "0-3"


def test_systemd_is_up_and_nothing_failed(server):
    server.run("systemctl is-system-running --wait", check=False, timeout=180)
    failed = server.run("systemctl --failed --no-legend --plain").stdout
    assert failed.strip() == ""


def test_no_smmu_is_visible(server):
    nodes = server.run("find /sys/firmware/devicetree/base -maxdepth 2").stdout
    assert "smmu" not in nodes.lower()
    assert not [c for c in compatible_strings(server) if "smmu" in c.lower()]
    properties = server.run("find /sys/firmware/devicetree/base -name '*iommu*'").stdout
    assert properties.strip() == ""
    assert server.run("ls /sys/class/iommu 2>/dev/null", check=False).stdout.strip() == ""


@pytest.mark.parametrize("compatible", ["qemu,fw-cfg-mmio", "virtio,mmio", "arm,gic-v3-its"])
def test_no_other_bus_master_is_visible(server, compatible):
    assert compatible not in compatible_strings(server)


def test_disk_keeps_what_is_written(server):
    """64 MiB past the page cache, written and read back by direct I/O."""
    size = 64
    free = int(server.run("df --output=avail -m / | tail -1").stdout)
    assert free > 2 * size
    try:
        server.run(f"dd if=/dev/urandom of=/var/tmp/a bs=1M count={size} status=none && sync", timeout=300)
        server.run("dd if=/var/tmp/a of=/var/tmp/b bs=256k oflag=direct status=none", timeout=300)
        first = sha256(server, "/var/tmp/a")
        server.run("echo 3 >/proc/sys/vm/drop_caches")
        direct = server.run("dd if=/var/tmp/b bs=128k iflag=direct status=none | sha256sum", timeout=300).stdout.split()[0]
        assert direct == first
        assert sha256(server, "/var/tmp/b") == first
        server.run("dd if=/var/tmp/b of=/var/tmp/a bs=4k count=1024 seek=7 conv=notrunc oflag=direct status=none")
        assert sha256(server, "/var/tmp/a") != first
    finally:
        server.run("rm -f /var/tmp/a /var/tmp/b")


def test_parallel_disk_io(server):
    """Four writers, one for each CPU, at once."""
    try:
        server.run("cd /var/tmp; for i in 0 1 2 3; do"
                   " taskset -c $i sh -c \"yes $i | head -c 16M >p$i; dd if=p$i of=q$i bs=64k oflag=direct status=none;"
                   " dd if=q$i bs=64k iflag=direct status=none | cmp - p$i\" || touch pfail & done; wait; ! [ -e pfail ]",
                   timeout=300)
    finally:
        server.run("rm -f /var/tmp/p? /var/tmp/q? /var/tmp/pfail")


def test_network_receives(server, http_directory):
    data = os.urandom(24 << 20)
    (http_directory.path / "data").write_bytes(data)
    got = server.run(
        "python3 -c 'import hashlib, sys, urllib.request as u;"
        " r = u.urlopen(sys.argv[1]); h = hashlib.sha256();\n"
        "while b := r.read(1 << 16): h.update(b)\n"
        "print(h.hexdigest())' " + http_directory.url + "/data", timeout=300).stdout.strip()
    assert got == hashlib.sha256(data).hexdigest()


def test_network_sends(server):
    server.run("dd if=/dev/urandom of=/var/tmp/net bs=1M count=24 status=none")
    try:
        expected = sha256(server, "/var/tmp/net")
        data = server.run("cat /var/tmp/net", timeout=300, text=False).stdout
        assert hashlib.sha256(data).hexdigest() == expected
    finally:
        server.run("rm -f /var/tmp/net")


def test_all_memory_is_usable(server):
    """Writes to every large page of most of memory, and reads it back."""
    available = int(server.run("awk '/MemAvailable/ {print int($2/1024)}' /proc/meminfo").stdout)
    total = int(server.run("awk '/MemTotal/ {print int($2/1024)}' /proc/meminfo").stdout)
    assert total > 3700
    size = available * 3 // 4
    out = server.run(
        f"python3 -c 'import mmap\n"
        f"n, step = {size}, 1 << 18\n"
        f"m = mmap.mmap(-1, n << 20)\n"
        f"for i in range(0, n << 20, step): m[i:i+8] = i.to_bytes(8, \"little\")\n"
        f"bad = sum(int.from_bytes(m[i:i+8], \"little\") != i for i in range(0, n << 20, step))\n"
        f"print(bad)'", timeout=600).stdout
    assert out.strip() == "0"


@pytest.mark.parametrize("cpu", [1, 3])
def test_cpu_goes_off_and_on(server, cpu):
    online = f"/sys/devices/system/cpu/cpu{cpu}/online"
    try:
        for _ in range(3):
            server.run(f"echo 0 >{online}")
            assert server.run("nproc").stdout.strip() == "3"
            server.run(f"echo 1 >{online}")
            assert server.run("nproc").stdout.strip() == "4"
            assert server.run(f"taskset -c {cpu} sh -c 'i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; echo $i'"
                              ).stdout.strip() == "1000"
    finally:
        server.run(f"echo 1 >{online}", check=False)


def test_all_but_one_cpu_go_off(server):
    server.run("for i in 1 2 3; do echo 0 >/sys/devices/system/cpu/cpu$i/online; done")
    assert server.run("nproc").stdout.strip() == "1"
    server.run("for i in 1 2 3; do echo 1 >/sys/devices/system/cpu/cpu$i/online; done")
    assert server.run("nproc").stdout.strip() == "4"


def test_time_passes(server):
    """Timers fire on each CPU."""
    began = time.monotonic()
    server.run("for i in 0 1 2 3; do taskset -c $i sleep 1; done")
    assert 3.5 < time.monotonic() - began < 30


def test_console_takes_commands(server):
    server.console_send("\n")
    server.console_send("echo on-$((40 + 2))-console\n")
    server.expect_console("on-42-console", timeout=30)


def test_reboot_and_poweroff(boot):
    s = boot(cpus=2, memory="1G", reboot=True)
    first = s.run("cat /proc/sys/kernel/random/boot_id").stdout
    s.run("systemctl reboot --no-block", check=False)
    s.expect_console("reboot: Restarting system", timeout=120)
    s.expect_console("Booting Linux on physical CPU", timeout=60)
    s.expect_console("CPU: All CPU.s. started at EL1", timeout=60)
    s.wait_ssh(300)
    assert s.run("cat /proc/sys/kernel/random/boot_id").stdout != first
    s.run("systemctl poweroff --no-block", check=False)
    assert s.wait_end(120), s._tail()
    assert "reboot: Power down" in s.console_text()
    assert s.complaints() == []


@pytest.mark.parametrize("cpu, cpus", [("cortex-a53", 1), ("max,pauth-impdef=on", 4)])
def test_other_cpus(boot, cpu, cpus):
    """An Armv8.0 CPU, alone, and one with everything that QEMU knows."""
    s = boot(cpu=cpu, cpus=cpus, memory="1G", guest_image="")
    assert "CPU: All CPU(s) started at EL1" in s.run("dmesg").stdout
    assert s.run("nproc").stdout.strip() == str(cpus)
    s.run("dd if=/dev/urandom of=/var/tmp/a bs=1M count=8 status=none && dd if=/var/tmp/a of=/var/tmp/b bs=64k oflag=direct status=none"
          " && cmp /var/tmp/a /var/tmp/b", timeout=300)
    assert s.complaints() == []
