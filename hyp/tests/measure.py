#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measurements as DEN0137 defines them, computed here with hashlib, against those of the core.

usage: measure.py MEASURE_PRINT
"""
import hashlib
import struct
import subprocess
import sys


def u64(value):
    return struct.pack("<Q", value)


# The public key of the Ed25519 seed of 32 bytes of 1 (RFC 8032).
SIGNER = bytes.fromhex("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c")


class Realm:
    def __init__(self, algorithm):
        self.h = (hashlib.sha256, hashlib.sha512)[algorithm]
        self.rems = [bytes(self.h().digest_size)] * 5
        image = bytearray(4096)
        image[0x008:0x010] = u64(33)
        image[0x010:0x018] = u64(3)
        image[0x018:0x020] = u64(1)
        image[0x020:0x028] = u64(1)
        image[0x028:0x030] = u64(6)
        image[0x030] = algorithm
        self.rim = self.h(image).digest()

    def extend(self, kind, body):
        descriptor = bytearray(0x100)
        descriptor[0x00] = kind
        descriptor[0x08:0x10] = u64(0x100)
        descriptor[0x10:0x10 + len(self.rim)] = self.rim
        descriptor[0x50:0x50 + len(body)] = body
        self.rim = self.h(descriptor).digest()

    def policy(self, block, signer):
        page = block[:0x90].ljust(4096, b"\0")
        self.extend(0x4B, self.h(page).digest().ljust(64, b"\0") + signer)

    def ripas(self, base, top):
        self.extend(2, u64(base) + u64(top))

    def data(self, ipa, content):
        if content is None:
            self.extend(0, u64(ipa) + u64(0))
        else:
            self.extend(0, u64(ipa) + u64(1) + self.h(content).digest())

    def rec(self, pc, gprs):
        image = bytearray(4096)
        image[0x000:0x008] = u64(1)
        image[0x200:0x208] = u64(pc)
        image[0x300:0x340] = b"".join(map(u64, gprs))
        self.extend(1, self.h(image).digest())

    def rem(self, slot, value):
        self.rems[slot] = self.h(self.rems[slot] + value).digest()


def expected(algorithm):
    out = {}
    realm = Realm(algorithm)
    out["create"] = realm.rim
    image = b"".join(u64(0x0123456789abcdef + i) for i in range(0, 32, 8))
    block = b"".join(map(u64, (0x31434B4C45524F43, 1, 2, 512, 0x1234, 0x56, 0x10000))) + image
    realm.policy(block, SIGNER)
    out["policy"] = realm.rim
    realm.ripas(0, 1 << 30)
    realm.ripas(1 << 30, 2 << 30)
    out["ripas"] = realm.rim
    realm.ripas(0, 0x1000)
    realm.ripas(0x1000, 0x2000)
    out["ripas_again"] = realm.rim
    page = b"".join(u64((7 * 0x0101010101010101 + i) % 2**64) for i in range(512))
    realm.data(0x1000, page)
    out["data"] = realm.rim
    realm.data(0x3000, None)
    out["data_unmeasured"] = out["data_unknown"] = realm.rim
    realm.rec(0x1000, range(100, 108))
    out["rec"] = out["rec_off"] = out["rim"] = out["rim_end"] = realm.rim
    value = b"".join(u64(0x0807060504030201 * (i + 1) % 2**64) for i in range(8))
    for _ in range(2):
        for slot, size in ((1, 64), (2, 0), (3, 5), (4, 32)):
            realm.rem(slot, value[:size])
    for slot in range(1, 5):
        out[f"rem{slot}"] = realm.rems[slot]
    out["rem1_end"] = realm.rems[1]
    out["read4"] = realm.rems[4]
    return {name: digest.hex().ljust(128, "0") for name, digest in out.items()}


def main():
    failed = 0
    for algorithm in (0, 1):
        text = subprocess.run([sys.argv[1], str(algorithm)], check=True, capture_output=True, text=True).stdout
        have = dict(line.split() for line in text.splitlines())
        want = expected(algorithm)
        for name in sorted(want.keys() | have.keys()):
            if want.get(name) != have.get(name):
                print(f"algorithm {algorithm}, {name}:\n  core     {have.get(name)}\n  expected {want.get(name)}")
                failed += 1
        print(f"algorithm {algorithm}: {len(want)} measurements compared")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
