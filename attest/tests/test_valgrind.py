#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Good and altered tokens, identities and keys under valgrind: no leak, no use of what was never set.

usage: test_valgrind.py VALGRIND ATTEST_CHECK
"""
import pathlib
import subprocess
import sys
import tempfile

import tokens

VALGRIND, CHECK = sys.argv[1:3]


def altered(good):
    """It, pieces of it, and it with a byte changed here and there."""
    yield good
    for n in range(0, len(good), len(good) // 12 + 1):
        yield good[:n]
        yield good[:n] + bytes([good[n] ^ 0x21]) + good[n + 1:]


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as d:
        key = pathlib.Path(d, "key")
        key.write_bytes(tokens.pem(tokens.ec_key(1)))
        inputs = {
            "token": [t.encode() for t in (tokens.Token(), tokens.Token().policy(), tokens.Token().legacy())],
            "identity": [tokens.Identity().encode()],
            "key": [tokens.pem(tokens.ec_key(1)), b'{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}'],
        }
        for mode, goods in inputs.items():
            files = []
            for good in goods:
                for case in altered(good):
                    files.append(pathlib.Path(d, f"{mode}-{len(files)}"))
                    files[-1].write_bytes(case)
            r = subprocess.run(
                [VALGRIND, "--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
                 "--errors-for-leak-kinds=definite,indirect,possible", "--error-exitcode=99",
                 CHECK, mode, *([key] if mode == "token" else []), *files],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=500)
            answers = r.stdout.splitlines()
            print(f"{mode}: {len(answers)} of {len(files)} judged, {sum(a.startswith('ok ') for a in answers)} accepted")
            if r.returncode != 0 or len(answers) != len(files):
                print(r.stderr)
                failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
