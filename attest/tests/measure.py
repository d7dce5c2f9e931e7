#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RIMs of whole launches, computed here with hashlib from the documents, against those of the library.

usage: measure.py MEASURE_PRINT
"""
import hashlib
import random
import struct
import subprocess
import sys

GRANULE = 4096


def u64(*values):
    return struct.pack(f"<{len(values)}Q", *values)


class Realm:
    """One realm as its host makes it: the tables it has, and the RIM."""

    def __init__(self, s2sz, algorithm):
        self.h = (hashlib.sha256, hashlib.sha512)[algorithm]
        # The widest block by IPA width (sixteen start tables may stand side by side).
        self.blocks = [2 << 20, GRANULE]
        if s2sz >= 35:
            self.blocks.insert(0, 1 << 30)
        if s2sz >= 44:
            self.blocks.insert(0, 512 << 30)
        image = bytearray(GRANULE)
        image[0x008:0x010] = u64(s2sz)
        image[0x018:0x028] = u64(1, 1)
        image[0x030] = algorithm
        self.rim = self.h(image).digest()

    def extend(self, kind, *fields):
        descriptor = bytearray(0x100)
        descriptor[0x00] = kind
        descriptor[0x08:0x10] = u64(0x100)
        descriptor[0x10:0x10 + len(self.rim)] = self.rim
        for offset, value in fields:
            descriptor[offset:offset + len(value)] = value
        assert len(descriptor) == 0x100
        self.rim = self.h(descriptor).digest()

    def policy(self, block):
        page = block[:0x90].ljust(GRANULE, b"\0")
        self.extend(0x4B, (0x50, self.h(page).digest()), (0x90, block[0xD0:0xF0]))

    def ripas(self, base, top):
        while base < top:
            size = next(b for b in self.blocks if base % b == 0 and base + b <= top)
            self.extend(2, (0x50, u64(base, base + size)))
            base += size

    def segment(self, ipa, data, measured):
        for at in range(0, len(data), GRANULE):
            page = data[at:at + GRANULE].ljust(GRANULE, b"\0")
            content = self.h(page).digest() if measured else b""
            self.extend(0, (0x50, u64(ipa + at, measured)), (0x60, content))

    def rec(self, pc, x0):
        image = bytearray(GRANULE)
        image[0x000:0x008] = u64(1)
        image[0x200:0x208] = u64(pc)
        image[0x300:0x308] = u64(x0)
        self.extend(1, (0x50, self.h(image).digest()))


def content(length, seed):
    return bytes((seed + 31 * i + (i >> 8)) & 0xFF for i in range(length))


def block(rng):
    b = bytearray(0x130)
    b[0:0x38] = u64(0x31434B4C45524F43, 1, rng.randrange(4), rng.randint(1, 512), rng.getrandbits(40),
                    rng.getrandbits(40), 0x10000)
    b[0x38:0x58] = rng.randbytes(32)
    b[0x90:0xD0] = rng.randbytes(64)
    b[0xD0:0x130] = rng.randbytes(0x60)
    return bytes(b)


def main():
    rng = random.Random(3)
    failed = 0
    compared = 0
    for s2sz in range(32, 49):
        for algorithm in (0, 1):
            for policy in (None, block(rng)):
                size = rng.choice([64 << 20, 768 << 20, (1 << s2sz - 1) - (1 << 30)])
                ram = 1 << 30
                segments = [(ram + (2 << 20) * (i + 1), rng.randint(1, 3 * GRANULE), i, int(i != 2)) for i in range(4)]
                entry, x0 = ram + 0x200040, rng.getrandbits(64)
                realm = Realm(s2sz, algorithm)
                if policy:
                    realm.policy(policy)
                realm.ripas(ram, ram + size)
                for ipa, length, seed, measured in segments:
                    realm.segment(ipa, content(length, seed), measured)
                realm.rec(entry, x0)
                have = subprocess.run(
                    [sys.argv[1], *map(str, (s2sz, algorithm, ram, size, 2, entry, x0)),
                     policy.hex() if policy else "-", *(":".join(map(str, s)) for s in segments)],
                    check=True, capture_output=True, text=True).stdout.strip()
                compared += 1
                if have != realm.rim.hex():
                    print(f"s2sz {s2sz}, algorithm {algorithm}, policy {bool(policy)}:")
                    print(f"  library  {have}\n  expected {realm.rim.hex()}")
                    failed += 1
    print(f"{compared} launches compared, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
