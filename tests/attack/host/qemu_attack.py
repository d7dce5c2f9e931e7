# SPDX-License-Identifier: Apache-2.0
"""Runs on the emulated server as root: attacks the memory of a guest through its QEMU process.

    qemu_attack.py PID OFFSET      OFFSET of the page in the guest's RAM

Prints the page's physical address as "pa HEX", and one line per attempt: NAME refused ERRNO, or NAME got BYTES.
"""

import ctypes
import errno
import os
import signal
import sys

PTRACE_ATTACH, PTRACE_PEEKDATA, PTRACE_POKEDATA, PTRACE_DETACH = 16, 2, 5, 17
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def report(name, error, got=b""):
    print(name, "refused " + errno.errorcode.get(error, str(error)) if error else "got " + got.hex(), flush=True)


def guest_ram(pid):
    """QEMU's largest mapping is the guest's RAM."""
    best = (0, 0)
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            best = max(best, (end - start, start))
    return best[1]


def attempt(name, action):
    try:
        report(name, 0, action())
    except OSError as error:
        report(name, error.errno)


def vm(call, pid, address, data):
    buffer = ctypes.create_string_buffer(data, 8)
    local, remote = Vector(ctypes.addressof(buffer), 8), Vector(address, 8)
    if call(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) != 8:
        raise OSError(ctypes.get_errno() or errno.EIO, "process_vm")
    return buffer.raw[:8]


def traced(request, pid, address, data):
    ctypes.set_errno(0)
    word = libc.ptrace(request, pid, address, data)
    if ctypes.get_errno():
        raise OSError(ctypes.get_errno(), "ptrace")
    return (word & (1 << 64) - 1).to_bytes(8, "little")


def main():
    pid, address = int(sys.argv[1]), guest_ram(int(sys.argv[1])) + int(sys.argv[2], 0)
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        pagemap.seek(address // 4096 * 8)
        print("pa", hex((int.from_bytes(pagemap.read(8), "little") & (1 << 55) - 1) * 4096))
    fd = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    attempt("proc-mem-read", lambda: os.pread(fd, 8, address))
    attempt("proc-mem-write", lambda: bytes([os.pwrite(fd, b"\xee" * 8, address)]))
    attempt("process-vm-readv", lambda: vm(libc.process_vm_readv, pid, address, b""))
    attempt("process-vm-writev", lambda: vm(libc.process_vm_writev, pid, address, b"\xee" * 8))
    if libc.ptrace(PTRACE_ATTACH, pid, None, None):
        raise OSError(ctypes.get_errno(), "PTRACE_ATTACH")
    os.waitpid(pid, 0x40000000)   # __WALL
    attempt("ptrace-read", lambda: traced(PTRACE_PEEKDATA, pid, address, None))
    attempt("ptrace-write", lambda: traced(PTRACE_POKEDATA, pid, address, 0xeeeeeeee))
    libc.ptrace(PTRACE_DETACH, pid, None, None)
    os.kill(pid, signal.SIGCONT)


main()
