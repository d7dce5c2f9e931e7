#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens and identity documents that KCore's own code makes, on the simulated machine, as the library sees them.

usage: test_core_token.py TOKEN_PRINT ATTEST_CHECK SOURCE
"""
import pathlib
import subprocess
import sys
import tempfile

TOKEN_PRINT, CHECK, SOURCE = sys.argv[1:4]
sys.path.insert(0, str(pathlib.Path(SOURCE, "emu")))

import rom  # noqa: E402


def made(handover, *args):
    out = subprocess.run([TOKEN_PRINT, *args], input=handover, stdout=subprocess.PIPE, check=True).stdout.decode()
    values = {"document": b"", "token": b""}
    for line in out.splitlines():
        name, _, digits = line.partition(" ")
        if name in values:
            values[name] += bytes.fromhex(digits)
    return values["document"], values["token"]


def main():
    failed = 0
    handover = rom.handover(b"\x5a" * 32, b"this stands for kcore.bin")
    other, _ = made(rom.handover(b"\x5b" * 32, b"this stands for kcore.bin"), "0", "399")
    with tempfile.TemporaryDirectory() as d:
        token, plat, wrong = (pathlib.Path(d, name) for name in ("token", "a.kplat", "b.kplat"))
        wrong.write_bytes(other)
        for source, chain in ((handover, "ok"), (b"", "no-chain")):
            for args in (("0", "399"), ("1", "399"), ("0", "907"), ("1", "907"), ("0", "399", "policy")):
                document, encoded = made(source, *args)
                token.write_bytes(encoded)
                plat.write_bytes(document)
                for want, command in ((chain, ("identity", plat)), ("ok", ("token", plat, token)),
                                      ("bad-signature", ("token", wrong, token))):
                    have = subprocess.run([CHECK, *command], stdout=subprocess.PIPE, check=True, text=True).stdout
                    if have.split(" ")[0] != want:
                        print(f"{args}, hand-over {bool(source)}, {command[0]}: {have.strip()}, expected {want}")
                        failed = 1
    print("20 identities and tokens judged")
    return failed


if __name__ == "__main__":
    sys.exit(main())
