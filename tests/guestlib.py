# SPDX-License-Identifier: Apache-2.0
"""Guests (realms) on the emulated server, by way of kcorectl."""

import json
import os
import pathlib
import re
import struct
import subprocess
import threading
import time

import kserv

# Debian with an encrypted root, as emu/disk-image makes it.
DISK_IMAGE = pathlib.Path(os.environ.get("KCORE_DISK_IMAGE") or os.path.join(kserv.cache_dir(), "disk-image"))


class GuestError(Exception):
    pass


def kcorectl(server, arguments, check=True, timeout=300):
    """Runs kcorectl with --json; returns what it printed, parsed, and its exit code."""
    r = server.run(f"kcorectl {arguments} --json", check=check, timeout=timeout)
    return (json.loads(r.stdout) if r.stdout.strip() else None), r.code


# KCORE_IDENTITY_READ of /dev/kcore: struct { __u64 buf; __u32 size, length; __u64 reserved[2]; }
READ_IDENTITY = """
import array, ctypes, fcntl, struct, sys
buffer = ctypes.create_string_buffer(8192)
arg = array.array("B", struct.pack("=QIIQQ", ctypes.addressof(buffer), 8192, 0, 0, 0))
with open("/dev/kcore", "rb+", buffering=0) as f:
    fcntl.ioctl(f, 3 << 30 | 32 << 16 | 0xC4 << 8 | 0x88, arg)
sys.stdout.buffer.write(buffer.raw[:struct.unpack("=QIIQQ", arg)[2]])
"""


def read_identity(server):
    """KCore's identity document."""
    return server.run("python3 -", input=READ_IDENTITY, text=False).stdout


def memory_in_use(server):
    """What KCore keeps from the host: delegated granules and realms."""
    core = kcorectl(server, "status")[0]["core"]
    return core["delegatedGranules"], core["realms"]


def tiny_image(*instructions):
    """An arm64 Image of these instructions; afterwards it waits for interrupts for ever."""
    branch = struct.pack("<I", 0x14000010)                     # b .+64
    header = branch + struct.pack("<I", 0) + struct.pack("<QQQ", 0, 4096, 0xa) + bytes(24) + b"ARMd" + bytes(4)
    assert len(header) == 64
    code = struct.pack(f"<{len(instructions) + 2}I", *instructions, 0xd503207f, 0x17ffffff)     # wfi; b .-4
    return (header + code).ljust(4096, b"\0")


def cpio(files):
    """An archive in the format of an initramfs: name -> content. Scripts can be executed."""
    out = b""
    for name, mode, data in [*((n, 0o100500 if d.startswith(b"#!") else 0o100400, d) for n, d in files.items()), ("TRAILER!!!", 0, b"")]:
        name = name.encode() + b"\0"
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        out += (b"070701" + b"".join(b"%08X" % f for f in fields) + name).ljust(-(-(110 + len(name)) // 4) * 4, b"\0")
        out += data.ljust(-(-len(data) // 4) * 4, b"\0")
    return out


def append_archive(initrd, archive):
    """An initrd and an archive behind it, which has to begin at a multiple of 4."""
    return initrd + bytes(-len(initrd) % 4) + archive


class Console:
    """A guest's console, and commands in the guest by way of it. command: what connects to it, on the server."""

    def __init__(self, server, name, command="kcorectl console"):
        self.server, self.name = server, name
        self.text, self.position, self.count = "", 0, 0
        self.process = subprocess.Popen(
            server.ssh_command() + ["--", f"{command} {name}"], cwd=server.dir,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while data := self.process.stdout.read1(65536):
            self.text += data.decode(errors="replace").replace("\r", "")

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def expect(self, pattern, timeout):
        end = time.monotonic() + timeout
        while True:
            m = re.compile(pattern).search(self.text, self.position)
            if m:
                self.position = m.end()
                return m
            if not self.reader.is_alive():
                raise GuestError(f"the console of {self.name} ended before {pattern!r} came:\n{self.text[-3000:]}")
            if not self.server.running():
                raise GuestError(f"the server ended under guest {self.name}{self.server._tail()}")
            if time.monotonic() > end:
                raise GuestError(f"{pattern!r} did not come from {self.name} within {timeout} s:\n{self.text[-3000:]}")
            time.sleep(0.1)

    def log_in(self, timeout):
        self.expect(r"kguest login: ", timeout)
        self.send("root\n")
        self.expect(r"root@kguest:", 240)
        # The kernel's own lines would come in the middle of what commands print; an oops is shown all the same.
        self.send("echo 0 >/proc/sys/kernel/printk; stty -echo; bind 'set enable-bracketed-paste off'; PS1=''; export TERM=dumb PAGER=cat\n")
        self.run("true")

    def run(self, command, check=True, timeout=120):
        """Runs a shell command in the guest; returns what it printed."""
        self.count += 1
        mark = f"E{self.count}x"
        self.send(f"echo {mark}-begin; {command}; echo {mark}-$?-end\n")
        start = self.expect(rf"{mark}-begin\n", 60).end()
        m = self.expect(rf"{mark}-(\d+)-end\n", timeout)
        out = self.text[start:m.start()]
        if check and m[1] != "0":
            raise GuestError(f"{command!r} returned {m[1]} in guest {self.name}:\n{out}")
        return out

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)


def launch(server, name, arguments, timeout=300):
    """kcorectl launch; raises with kcoresd's and KCore's words if it fails."""
    r = server.run(f"kcorectl launch --json --name {name} {arguments}", check=False, timeout=timeout)
    if r.code:
        log = server.run("journalctl -b --no-pager -n 40 -u kcoresd -u 'kcore*'; kcorectl log 2>&1 | tail -n 30; dmesg | tail -n 20",
                         check=False).stdout
        raise GuestError(f"kcorectl launch returned {r.code}: {r.stdout}{r.stderr}\n{log}")
    return json.loads(r.stdout) if r.stdout.strip() else None


__all__ = ["Console", "DISK_IMAGE", "GuestError", "append_archive", "cpio", "kcorectl", "kserv", "launch", "memory_in_use", "read_identity",
           "tiny_image"]
