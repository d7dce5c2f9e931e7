#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run-fuzzer.py FUZZER header|uki SECONDS: makes a seed corpus and lets libFuzzer work on it. KCORE_FUZZ_SECONDS
takes the place of SECONDS.

run-fuzzer.py FUZZER header|uki --valgrind SCRIPT VALGRIND: lets scripts/tests/valgrind-inputs.py go through it."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import kci

FUZZER, WHAT, SECONDS, *ARGUMENTS = sys.argv[1:]


def load(name):
    sys.argv = [name, ""]
    spec = importlib.util.spec_from_file_location("seeds", pathlib.Path(__file__).parent / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def headers():
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    to = [kci.raw(kci.X25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2)]
    three = [(1, kci.RAM_BASE + 0x200000, b"k"), (2, kci.RAM_BASE + 0x400000, b"i"), (3, kci.RAM_BASE + 0x600000, b"d")]
    for args in ({}, {"segments": three}, {"key": key}, {"key": key, "sealed_to": to}, {"segments": three, "key": key, "sealed_to": to[:1]},
                 {"changes": {6: 1, 4: 3 << 30, 9: {1: 3, 2: 512, 3: 1 << 30, 4: 0, 5: 0xFFFFFFFF}}}):
        yield kci.Image(kci.make(**args)).header_bytes


def ukis():
    t = load("test-format.py")
    yield t.uki([(b".linux", b"k" * 10)])
    yield t.uki([(b".osrel", b"x"), (b".cmdline", b"quiet"), (b".linux", b"k" * 600), (b".initrd", b"i")], optional=16)
    yield t.uki([(b".linux", b"k")] * 3, optional=0)


with tempfile.TemporaryDirectory() as d:
    for n, seed in enumerate(headers() if WHAT == "header" else ukis()):
        (pathlib.Path(d) / f"seed{n}").write_bytes(seed)
    if SECONDS == "--valgrind":
        sys.exit(subprocess.run([sys.executable, *ARGUMENTS, FUZZER, d]).returncode)
    seconds = os.environ.get("KCORE_FUZZ_SECONDS", SECONDS)
    sys.exit(subprocess.run([FUZZER, f"-max_total_time={seconds}", "-max_len=8192", "-seed=1", "-print_final_stats=1", "-timeout=10",
                             f"-artifact_prefix={os.environ.get('KCORE_CACHE', d)}/fuzz-{WHAT}-", d]).returncode)
