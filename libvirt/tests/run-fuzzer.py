#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run-fuzzer.py FUZZER SECONDS: makes a seed corpus of domains and lets libFuzzer work on it. KCORE_FUZZ_SECONDS takes the
place of SECONDS."""

import os
import pathlib
import subprocess
import sys
import tempfile

FUZZER, SECONDS = sys.argv[1:3]
OURS = "<kcore:realm xmlns:kcore='urn:kcore:domain:1' image='/a.kci'/>"
SEEDS = [
    "<domain type='kvm'><name>a</name></domain>",
    f"<domain type='kvm'><name>a</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid><metadata>{OURS}</metadata>"
    "<memory unit='KiB'>65536</memory><vcpu current='1'>2</vcpu><memtune><hard_limit unit='G'>3</hard_limit></memtune>"
    "<os firmware='efi'><type arch='aarch64' machine='virt'>hvm</type><loader/></os><features><acpi/><gic version='2'/></features>"
    "<cpu mode='custom'/><devices><emulator>/usr/bin/kcore-qemu</emulator><memballoon model='virtio'/></devices></domain>",
]
WORDS = ["<metadata>", "urn:kcore:domain:1", "xmlns:kcore=", "image=", "<emulator>", "/usr/bin/kcore-qemu", "<memory", "unit=",
         "<vcpu", "<devices>", "<!DOCTYPE", "<!ENTITY", "&x;", "<![CDATA["]

with tempfile.TemporaryDirectory() as d:
    d = pathlib.Path(d)
    (d / "corpus").mkdir()
    for i, seed in enumerate(SEEDS):
        (d / "corpus" / str(i)).write_text(seed)
    (d / "words").write_text("".join('"' + "".join(f"\\x{b:02x}" for b in w.encode()) + '"\n' for w in WORDS))
    done = subprocess.run([FUZZER, f"-max_total_time={os.environ.get('KCORE_FUZZ_SECONDS', SECONDS)}", "-seed=1", "-timeout=20",
                           "-rss_limit_mb=2000", "-max_len=4096", f"-dict={d}/words", f"-artifact_prefix={os.getcwd()}/", str(d / "corpus")])
sys.exit(done.returncode)
