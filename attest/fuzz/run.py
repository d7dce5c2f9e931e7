#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lets libFuzzer work on the seed corpus for some seconds; KCORE_FUZZ_SECONDS takes the place of SECONDS.

usage: run.py FUZZER NAME SECONDS
"""
import os
import pathlib
import subprocess
import sys
import tempfile

FUZZER, NAME, SECONDS = sys.argv[1:4]

with tempfile.TemporaryDirectory() as d:
    subprocess.run([sys.executable, "-B", pathlib.Path(__file__).parent / "corpus.py", d], check=True)
    seconds = os.environ.get("KCORE_FUZZ_SECONDS", SECONDS)
    found = pathlib.Path(d, "found")
    found.mkdir()
    sys.exit(subprocess.run([FUZZER, f"-max_total_time={seconds}", "-max_len=6000", "-seed=1", "-timeout=10",
                             "-print_final_stats=1", f"-artifact_prefix={os.environ.get('KCORE_CACHE', d)}/fuzz-{NAME}-",
                             found, pathlib.Path(d, NAME)]).returncode)
