# SPDX-License-Identifier: Apache-2.0
"""What kcorectl launch promises beyond a running guest: several disks, a tap interface, --wait. The guests are the
stock kernel with an initrd that does one thing and powers off, and a few instructions."""

import json
import os
import subprocess

import pytest

from guestlib import kcorectl, kserv, memory_in_use, tiny_image

TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))

pytestmark = pytest.mark.timeout(1800)

SCRIPT = """#!/bin/busybox sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for m in %(modules)s; do insmod /$m; done
until [ -b /dev/vdc ]; do sleep 0.1; done
for d in vda vdb vdc; do echo "DISK $d $(busybox head -c 8 /dev/$d)"; done
printf changed2 | busybox dd of=/dev/vdb conv=notrunc,fsync 2>/dev/null && echo "WRITTEN vdb"
printf changed3 | busybox dd of=/dev/vdc conv=notrunc,fsync 2>/dev/null || echo "REFUSED vdc"
busybox ip addr add 10.99.0.2/24 dev eth0
busybox ip link set eth0 up
busybox ping -c 3 -W 10 10.99.0.1 >/dev/null && echo "PING answered"
poweroff -f
"""


@pytest.fixture(scope="module")
def initrd(tmp_path_factory):
    """The stock guest's initrd, and laid over it Debian's virtio_net with what it needs, and SCRIPT."""
    out = tmp_path_factory.mktemp("launch")
    image = kserv.Config().guest_image
    with open(os.path.join(image, "version"), encoding="utf-8") as f:
        modules = f"/usr/lib/modules/{f.read().strip()}"

    def read(path):
        return subprocess.run(["debugfs", "-R", f"cat {path}", os.path.join(image, "root.ext4")],
                              check=True, capture_output=True).stdout

    depends = dict(line.split(":") for line in read(f"{modules}/modules.dep").decode().splitlines())
    root = out / "root"
    root.mkdir()
    order = []
    for wanted in ("virtio_blk", "virtio_net"):
        path = next(p for p in depends if p.endswith(f"/{wanted}.ko.xz"))
        for p in [*reversed(depends[path].split()), path]:     # the last one depends on nothing
            name = os.path.basename(p).removesuffix(".xz")
            if name not in order:
                order.append(name)
                (root / name).write_bytes(subprocess.run(["xz", "-dc"], input=read(f"{modules}/{p}"), check=True,
                                                         capture_output=True).stdout)
    (root / "test").write_text(SCRIPT % {"modules": " ".join(order)})
    (root / "test").chmod(0o755)
    names = "\n".join(sorted(p.name for p in root.iterdir())) + "\n"
    cpio = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root, input=names.encode(), check=True,
                          capture_output=True).stdout
    with open(os.path.join(image, "initrd.img"), "rb") as f:
        both = f.read()
    both += bytes(-len(both) % 4) + cpio
    (out / "initrd").write_bytes(both)
    return out / "initrd"


def test_disks_and_tap(server, initrd):
    before = memory_in_use(server)
    server.put(initrd, "/tmp/launch-initrd")
    server.run("cd /tmp; for d in 1 2 3; do truncate -s 1M disk$d; printf content$d | dd of=disk$d conv=notrunc status=none;"
               " done; ip tuntap add dev tap-launch mode tap && ip addr add 10.99.0.1/24 dev tap-launch"
               " && ip link set tap-launch up")
    try:
        r = server.run("kcorectl launch --json --wait --name several --kernel /srv/guest/Image --initrd /tmp/launch-initrd"
                       " --append 'console=ttyAMA0 rdinit=/test lsm=capability quiet'"
                       " --memory 256M --disk /tmp/disk1 --disk /tmp/disk2 --disk /tmp/disk3,ro --network tap:tap-launch",
                       check=False, timeout=TIMEOUT)
        console = server.run("kcorectl log several", check=False).stdout
        assert r.code == 0, r
        assert json.loads(r.stdout)["guest"]["reason"] == "the guest powered off"
        for line in ("DISK vda content1", "DISK vdb content2", "DISK vdc content3", "WRITTEN vdb", "REFUSED vdc",
                     "PING answered"):
            assert line in console     # a message of the guest's kernel may end the line
        assert server.run("head -qc 8 /tmp/disk1 /tmp/disk2 /tmp/disk3").stdout == "content1changed2content3"
    finally:
        server.run("kcorectl stop --force several; ip link del tap-launch; rm -f /tmp/disk? /tmp/launch-initrd", check=False)
    assert memory_in_use(server) == before


def test_guest_that_powers_off_at_once(server):
    """It may be over before anybody looked, and has been launched all the same."""
    before = memory_in_use(server)
    server.put(tiny_image(0x52800100, 0x72b08000, 0xd4000003), "/tmp/off")     # PSCI SYSTEM_OFF
    for _ in range(3):
        r = server.run("kcorectl launch --json --wait --name off --kernel /tmp/off --memory 64M", check=False)
        assert r.code == 0, r
        state = json.loads(r.stdout)["guest"]
        assert (state["status"], state["reason"]) == ("exited", "the guest powered off")
        kcorectl(server, "stop off")
    r = server.run("kcorectl launch --wait --name off --kernel /tmp/off --memory 64M")
    assert "Guest off ended: the guest powered off." in r.stdout
    kcorectl(server, "stop off")
    assert memory_in_use(server) == before


def test_wait_for_a_guest_that_is_stopped(server):
    server.put(tiny_image(), "/tmp/tiny")
    r = server.run("(sleep 2; until kcorectl list | grep -q running; do sleep 0.2; done; kcorectl stop --force tiny) >/dev/null &"
                   " kcorectl launch --wait --name tiny --kernel /tmp/tiny --memory 64M; code=$?; wait; exit $code", check=False)
    assert r.code == 0, r
