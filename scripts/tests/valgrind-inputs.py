#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A parser's seed inputs, pieces of them, and them with a byte changed here and there, under valgrind: no leak, no
use of what was never set, which the sanitizers do not see.

usage: valgrind-inputs.py VALGRIND FUZZER SEEDS

FUZZER is built without sanitizers; libFuzzer runs each file that it is given once.
"""
import pathlib
import subprocess
import sys
import tempfile

VALGRIND, FUZZER, SEEDS = sys.argv[1:4]
CUTS = 8    # of each seed


def altered(good):
    yield good
    for n in range(0, len(good), len(good) // CUTS + 1):
        yield good[:n]
        yield good[:n] + bytes([good[n] ^ 0x21]) + good[n + 1:]


def main():
    with tempfile.TemporaryDirectory() as d:
        files = []
        for seed in sorted(p for p in pathlib.Path(SEEDS).iterdir() if p.is_file()):
            for case in altered(seed.read_bytes()):
                files.append(pathlib.Path(d, str(len(files))))
                files[-1].write_bytes(case)
        r = subprocess.run(
            [VALGRIND, "--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect",
             "--errors-for-leak-kinds=definite,indirect", "--error-exitcode=99",
             FUZZER, "-rss_limit_mb=0", "-timeout=0", "-detect_leaks=0", *files],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=900)
    ran = r.stdout.count("Executed ")
    print(f"{ran} of {len(files)} inputs ran")
    if r.returncode != 0 or ran != len(files) or not files:
        print(r.stdout[-8000:])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
