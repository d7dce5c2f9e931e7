#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libvirt's hook and the emulator on a machine without kcoresd: ordinary domains are none of their business, protected ones
are refused, each for its reason, in one line. test-hook.py HOOK-PROGRAM KCORE-QEMU HOOK-SCRIPT"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HOOK, QEMU, SCRIPT = map(os.path.abspath, sys.argv[1:4])
UUID = "c7a5fdbd-edaf-9455-926a-d65c16db1809"
OURS = "<kcore:realm xmlns:kcore='urn:kcore:domain:1' image='{}'/>"


def domain(metadata="", emulator="/usr/bin/kcore-qemu"):
    return (f"<domain type='kvm'><name>web</name><uuid>{UUID}</uuid><metadata>{metadata}</metadata><memory>65536</memory>"
            f"<vcpu>1</vcpu><devices><emulator>{emulator}</emulator></devices></domain>")


def hook(xml, operation="prepare", sub="begin", program=None):
    return subprocess.run([*(program or [HOOK]), "web", operation, sub, "-"], input=xml, capture_output=True, text=True, timeout=60)


class Hook(unittest.TestCase):
    def refused(self, r, words):
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertEqual(r.stdout, "")
        self.assertIn(words, r.stderr)
        self.assertEqual(r.stderr.count("\n"), 1, r.stderr)
        self.assertTrue(r.stderr.startswith("kcore"), r.stderr)

    def test_ordinary_domains(self):
        for operation in "prepare", "start", "started", "stopped", "release", "migrate", "restore", "reconnect", "attach":
            r = hook(domain("", "/usr/bin/qemu-system-aarch64"), operation)
            self.assertEqual((r.returncode, r.stdout, r.stderr), (0, "", ""), operation)

    def test_what_is_wrong(self):
        with tempfile.NamedTemporaryFile(suffix=".kci") as image:
            image.write(b"x" * 5000)
            image.flush()
            good = OURS.format(image.name)
            self.refused(hook(domain(good)), "kcoresd can not be reached")
            self.refused(hook(domain(good, "/usr/bin/qemu-system-aarch64")), "not started unprotected")
            self.refused(hook(domain()), "name no image")
            self.refused(hook(domain(good + good)), "one element <realm>")
            self.refused(hook(domain(good), "migrate"), "can not be restored or migrated")
            self.refused(hook(domain(good), "restore"), "can not be restored or migrated")
            self.refused(hook(domain(good) + "x"), "not well-formed")
            self.refused(hook(""), "not well-formed")
            self.refused(hook(" " * (5 << 20)), "larger than 4M")
        self.refused(hook(domain(OURS.format("/nonexistent.kci"))), "can not be opened: No such file")
        self.refused(hook(domain(OURS.format("/tmp"))), "can not be read")
        self.refused(hook(domain(OURS.format("/dev/zero"))), "can not be read")

    def test_nothing_to_do(self):
        for operation in "start", "started", "stopped", "reconnect":
            self.assertEqual(hook(domain(OURS.format("/nonexistent.kci")), operation).returncode, 0)

    def test_usage(self):
        self.assertEqual(subprocess.run([HOOK], capture_output=True, timeout=60).returncode, 2)

    def test_script_without_program(self):
        with tempfile.TemporaryDirectory() as d:
            script = pathlib.Path(d) / "kcore"
            script.write_text(pathlib.Path(SCRIPT).read_text().replace("/usr/bin/kcore-libvirt-hook", f"{d}/program"))
            run = ["sh", str(script)]
            self.refused(hook(domain(OURS.format("/a"), "/usr/bin/qemu-system-aarch64"), program=run), "install kcore-libvirt")
            self.refused(hook(domain(), program=run), "install kcore-libvirt")
            self.assertEqual(hook(domain("", "/usr/bin/qemu-system-aarch64"), program=run).returncode, 0)
            self.assertEqual(hook(domain(), "release", "end", program=run).returncode, 0)
            os.symlink(HOOK, f"{d}/program")
            self.refused(hook(domain(), program=run), "name no image")

    def test_emulator(self):
        def start(*args):
            return subprocess.run([QEMU, *args], capture_output=True, text=True, timeout=60)
        if not os.path.exists("/run/kcore/io.kcore.Launch"):
            self.refused(start("-machine", "virt", "-accel", "kvm", "-uuid", UUID), "cannot reach kcoresd")
        self.refused(start("-machine", "virt"), "no -uuid")
        self.refused(start(), "no -uuid")
        self.refused(start("-uuid", "x"), "not a UUID")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
