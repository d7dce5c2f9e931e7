# SPDX-License-Identifier: Apache-2.0
"""A Debian guest with an encrypted root (emu/disk-image), whose disk its host may write as it likes. In a plain
emulated machine: what is tested here, the initramfs with the agent, is the same in a realm, and there a boot takes
minutes."""

import hashlib
import json
import os
import re
import struct
import subprocess
import threading
import time

import pytest

import kserv
from guestlib import DISK_IMAGE as IMAGE, append_archive, cpio

HEADER = 32 << 10   # bytes of a LUKS2 header: two copies of 16 KiB
BOOT_TIMEOUT = float(os.environ.get("KCORE_GUEST_BOOT_TIMEOUT", "600"))

pytestmark = pytest.mark.timeout(1800)


class Machine:
    """The guest on QEMU's own machine. Its disk is a snapshot, of disk if one is given."""

    def __init__(self, directory, files, append="", disk=IMAGE / "root.ext4"):
        initrd = (IMAGE / "initrd.img").read_bytes()
        (directory / "initrd.img").write_bytes(append_archive(initrd, cpio(files)))
        self.text, self.position = "", 0
        self.process = subprocess.Popen(
            ["qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "neoverse-n1", "-smp", "2", "-m", "512", "-nodefaults",
             "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", IMAGE / "Image", "-initrd", directory / "initrd.img",
             "-append", f"{(IMAGE / 'cmdline').read_text().strip()} {append}",
             "-drive", f"file={disk},format=raw,if=none,id=disk,snapshot=on", "-device", "virtio-blk-pci,drive=disk,disable-legacy=on",
             "-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile=,disable-legacy=on"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _read(self):
        while data := self.process.stdout.read1(65536):
            self.text += data.decode(errors="replace").replace("\r", "")

    def expect(self, pattern, timeout=BOOT_TIMEOUT):
        end = time.monotonic() + timeout
        while True:
            m = re.compile(pattern).search(self.text, self.position)
            if m:
                self.position = m.end()
                return m
            assert self.reader.is_alive() and time.monotonic() < end, f"{pattern!r} did not come:\n{self.text[-3000:]}"
            time.sleep(0.1)

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def expect_off(self):
        """It powers off by itself, and nothing asked for input before."""
        assert self.process.wait(120) == 0
        self.reader.join(10)
        assert "login:" not in self.text and "(initramfs)" not in self.text and "# " not in self.text, self.text


def edited(header, change):
    """A header with good checksums and other metadata."""
    data = bytearray(header)
    size = struct.unpack_from(">Q", data, 8)[0]
    assert 2 * size == len(data)
    for at in (0, size):
        meta = json.loads(bytes(data[at + 4096:at + size]).split(b"\0")[0])
        change(meta)
        data[at + 4096:at + size] = json.dumps(meta).encode().ljust(size - 4096, b"\0")
        data[at + 0x1c0:at + 0x200] = bytes(64)
        data[at + 0x1c0:at + 0x1e0] = hashlib.sha256(data[at:at + size]).digest()
    return bytes(data)


def key_file(key=None):
    return {"etc/kcore/disk.key": key or (IMAGE / "disk.key").read_bytes()}


def test_key_in_the_image(tmp_path):
    """Without a network: the key comes with the initrd, which a sealed image hides from the host."""
    with Machine(tmp_path, key_file()) as m:
        m.expect("kguest login: ")
        m.send("root\n")
        m.expect("root@kguest:", 240)
        m.send("stty -echo; echo ROOT=$(findmnt -n -o SOURCE /) TABLE=$(dmsetup table kcore-root)\n")
        assert m.expect(r"ROOT=(\S+) TABLE=(.*)", 60).groups()[0] == "/dev/mapper/kcore-root"
        assert " crypt aes-xts-plain64 " in m.text
        m.send("ls /etc/kcore/disk.key; echo END-$?\n")
        assert m.expect(r"END-(\d)", 60)[1] == "2"


def test_what_the_host_sees():
    """The disk of the image holds nothing readable: not even the name of its file system."""
    with open(IMAGE / "root.ext4", "rb") as f:
        f.seek(16 << 20)
        data = f.read(8 << 20)
    assert b"kguest" not in data and b"lost+found" not in data and bytes(64) not in data


def test_other_key(tmp_path):
    with Machine(tmp_path, key_file(os.urandom(32))) as m:
        m.expect("key slot does not open with this key")
        m.expect_off()


def test_header_of_the_host(tmp_path):
    """The host takes the encryption out of the header, to read what the guest will write."""
    def no_encryption(meta):
        meta["segments"]["0"]["encryption"] = "cipher_null-ecb"

    disk = tmp_path / "disk"
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", IMAGE / "root.ext4", disk], check=True)
    with open(disk, "r+b") as f:
        header = f.read(HEADER)
        f.seek(0)
        f.write(edited(header, no_encryption))
    with Machine(tmp_path, key_file(), disk=disk) as m:
        m.expect("LUKS2 header is refused: its data cipher is not aes-xts-plain64")
        m.expect_off()
    disk.unlink()


def test_no_realm(tmp_path):
    """A machine that can not attest gets no further than to a broker; without one, not even there."""
    with Machine(tmp_path, {}) as m:
        m.expect("the command line lacks kcore.kbs=")
        m.expect_off()
    with Machine(tmp_path, {"etc/kcore/kbs-ca.pem": b"none"}, "ip=dhcp kcore.kbs=https://10.0.2.2:1 kcore.resource=a/b/c") as m:
        m.expect("no disk key")
        m.expect_off()
