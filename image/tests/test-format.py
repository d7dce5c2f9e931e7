#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images made by kcorectl as an implementation that is not ours sees them, and files that are wrong in every
way we could think of: each must be refused with the error that fits."""

import hashlib
import json
import os
import pathlib
import pty
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import kci

KCORECTL = sys.argv[1]
ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
for _name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
    if _name in os.environ:
        ENV[_name] = os.environ[_name]


def run(*args):
    return subprocess.run([KCORECTL, "image", *map(str, args)], env=ENV, stdin=subprocess.DEVNULL, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def linux_image(size=70_001, memory_size=5 << 20):
    """Looks like an arm64 Image."""
    h = bytearray(os.urandom(size))
    h[0:2] = b"MZ"
    h[4:64] = bytes(60)
    struct.pack_into("<QQQ", h, 8, 0, memory_size, 0xA)
    h[56:60] = b"ARM\x64"
    return bytes(h)


def uki(sections, machine=0xAA64, count=None, optional=240):
    """A PE file with these sections: (name, bytes)."""
    count = len(sections) if count is None else count
    head = bytearray(64)
    head[0:2] = b"MZ"
    struct.pack_into("<I", head, 0x3C, 64)
    head += b"PE\0\0" + struct.pack("<HHIIIHH", machine, count, 0, 0, 0, optional, 0x22) + bytes(optional)
    at, table, body = kci.up(len(head) + 40 * len(sections), 512), b"", b""
    for name, data in sections:
        padded = data.ljust(kci.up(len(data), 512), b"\0")
        table += name.ljust(8, b"\0") + struct.pack("<IIII", len(data), 0, len(padded), at + len(body)) + bytes(16)
        body += padded
    return bytes(head + table).ljust(at, b"\0") + body


class Base(unittest.TestCase):
    def setUp(self):
        d = tempfile.TemporaryDirectory()
        self.addCleanup(d.cleanup)
        self.dir = pathlib.Path(d.name)

    def path(self, name, content=None):
        p = self.dir / name
        if content is not None:
            p.write_bytes(content)
        return p

    def ok(self, *args):
        r = run(*args)
        self.assertEqual((r.returncode, r.stderr), (0, ""), args)
        return r.stdout

    def refused(self, error, *args, code=8):
        r = run(*args, "--json")
        self.assertEqual((r.returncode, r.stderr), (code, ""), (args, r.stdout))
        e = json.loads(r.stdout)
        self.assertEqual(e["error"], f"Image.{error}", e)
        self.assertEqual(e["exitCode"], code)
        return e["message"]

    def key(self, name="key.pem"):
        self.ok("key", "-o", self.path(name))
        return load_pem_private_key(self.path(name).read_bytes(), None)

    def build(self, *options, name="a.kci"):
        self.path("Image", linux_image())
        self.path("initrd", os.urandom(9_000))
        self.ok("build", "-o", self.path(name), "-k", self.path("Image"), "-i", self.path("initrd"),
                "-a", "console=ttyAMA0", *options)
        return self.path(name)


class Made(Base):
    def test_build(self):
        before = set(self.dir.iterdir())
        path = self.build("-m", "1G", "-c", "3", "--name", "a guest", "--allow-debug", "--max-shared", "64M", "--min-version", "1.2")
        self.assertEqual(set(self.dir.iterdir()) - before, {path, self.path("Image"), self.path("initrd")})
        i = kci.Image(path.read_bytes())
        m = i.manifest
        self.assertEqual((m[1], m[3], m[4], m[5], m[6]), ("a guest", 3, 1 << 30, 33, 0))
        self.assertEqual(m[9], {1: 1, 2: 3, 3: 1 << 18, 4: 1 << 14, 5: 0x10002})
        self.assertEqual(i.sign1[0], b"")
        self.assertEqual(i.sign1[3], b"")
        self.assertNotIn(11, m)
        f = kci.block_fields(i.block)
        self.assertEqual(f, {"flags": 1, "vcpus": 3, "private": 1 << 18, "shared": 1 << 14, "minimum": 0x10002, "id": m[2]})
        self.assertFalse(any(i.block[0x90:]))

        # The payload lies where the kernel of a guest without an image would lie.
        self.assertEqual([s[1] for s in m[10]], [1, 2, 3])
        contents = [b"".join(p for _, p in i.pages(k)) for k in range(3)]
        self.assertEqual(contents[0], self.path("Image").read_bytes().ljust(kci.up(70_001), b"\0"))
        self.assertEqual(contents[1][:9_000], self.path("initrd").read_bytes())
        for s, c in zip(m[10], contents):
            self.assertEqual(s[4], hashlib.sha256(c).digest())
        self.assertEqual(m[7], 0x40200000)
        self.assertEqual([s[2] for s in m[10]], [0x40200000, 0x40800000, 0x40A00000])
        self.assertEqual(m[8], 0x40A00000)
        self.path("dtb", contents[2][:m[10][2][3]])
        dts = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", self.path("dtb")], capture_output=True, text=True, check=True).stdout
        self.assertIn('bootargs = "swiotlb=32896 console=ttyAMA0"', dts)
        self.assertEqual(dts.count("enable-method"), 3)
        self.assertIn("linux,initrd-end = <0x00 0x40802328>", dts)

    def test_image_id(self):
        self.assertNotEqual(kci.Image(self.build().read_bytes()).manifest[2], kci.Image(self.build().read_bytes()).manifest[2])
        self.assertEqual(kci.Image(self.build("--image-id", "ab" * 32).read_bytes()).manifest[2], b"\xab" * 32)

    def test_uki(self):
        kernel, initrd = linux_image(), os.urandom(5_000)
        self.path("k", kernel)
        self.path("i", initrd)
        pe = self.path("uki.efi", uki([(b".osrel", b"ID=x"), (b".cmdline", b"quiet root=/dev/vda\n\0"), (b".linux", kernel), (b".initrd", initrd)]))
        self.ok("build", "-o", self.path("u.kci"), "--uki", pe, "--image-id", "00" * 32, "--name", "x")
        self.ok("build", "-o", self.path("k.kci"), "-k", self.path("k"), "-i", self.path("i"), "-a", "quiet root=/dev/vda",
                "--image-id", "00" * 32, "--name", "x")
        self.assertEqual(self.path("u.kci").read_bytes(), self.path("k.kci").read_bytes())

    def test_uki_that_is_none(self):
        k = (b".linux", linux_image())
        self.path("o.kci")
        bad = {
            "no PE file": [b"x", bytes(100), b"MZ" + bytes(58) + b"\xff\xff\xff\xff" + bytes(100), uki([k])[:70],
                           uki([k]).replace(b"PE\0\0", b"NE\0\0")],
            "another architecture": [uki([k], machine=0x8664)],
            "no section .linux": [uki([(b".initrd", b"x")]), uki([]), uki([(b".linux", b"")])],
            "two sections .linux": [uki([k, k])],
            "inside its table": [uki([(b".osrel", b"x")], count=96)[:700], uki([k], optional=65_000)[:65_100]],
            "more than 96": [uki([k], count=97)],
            "beyond the end": [uki([k])[:5_000]],
            "no ARM64 magic": [uki([(b".linux", b"x" * 5_000)])],
            "control character": [uki([k, (b".cmdline", b"a\nb")])],
            "longer than 2047": [uki([k, (b".cmdline", b"a" * 3000)])],
            "larger than 8 KiB": [uki([k, (b".cmdline", b"a" * 9000)])],
        }
        for text, files in bad.items():
            for f in files:
                self.assertIn(text, self.refused("input", "build", "-o", self.path("o.kci"), "-u", self.path("x", f)))
                self.assertFalse(self.path("o.kci").exists())
        r = run("build", "-o", self.path("o.kci"), "-u", self.path("x", uki([k, (b".cmdline", b"a")])), "-a", "b")
        self.assertEqual(r.returncode, 2)

    def test_inputs_that_are_wrong(self):
        k = self.path("k", linux_image())
        o = self.path("o.kci")
        for error, text, args in (
                ("input", "gzip", ["-k", self.path("gz", b"\x1f\x8b" + bytes(100))]),
                ("input", "no ARM64 magic", ["-k", self.path("short", b"x")]),
                ("input", "control character", ["-k", k, "-a", "a\tb"]),
                ("input", "longer than 2047", ["-k", k, "-a", "a" * 2048]),
                ("input", "with what is added to it", ["-k", k, "-a", "a" * 2034]),
                ("value", "do not fit", ["-k", self.path("big", linux_image(memory_size=100 << 20)), "-m", "64M"]),
                ("value", "multiple of 2M", ["-k", k, "-m", "65M"]),
                ("value", "multiple of 2M", ["-k", k, "-m", "512G"]),
                ("value", "vCPUs", ["-k", k, "-c", "0"]),
                ("value", "vCPUs", ["-k", k, "-c", "124"]),
                ("value", "name", ["-k", k, "--name", "x" * 65]),
                ("value", "printable", ["-k", k, "--name", "\u00fc"]),
        ):
            self.assertIn(text, self.refused(error, "build", "-o", o, *args), args)
            self.assertFalse(o.exists())
        for args in (["-k", "/dev/null"], ["-k", self.dir], ["-k", self.path("empty", b"")], ["-k", self.dir / "none"]):
            r = run("build", "-o", o, *args)
            self.assertEqual(r.returncode, 8, r.stderr)
        for args in ([], ["-k", k, "-u", k], ["-i", k], ["-u", k, "-i", k], ["-k", k, "--hash", "md5"], ["-k", k, "x"],
                     ["-k", k, "--image-id", "ab"], ["-k", k, "--image-id", "zz" * 32], ["-k", k, "--min-version", "1"],
                     ["-k", k, "--max-shared", "1"], ["-k", k, "--max-shared", "0"], ["-k", k, "--signer", "x"]):
            r = run("build", "-o", o, *args)
            self.assertEqual((r.returncode, r.stdout), (2, ""), args)
        self.assertEqual(run("build", "-k", k).returncode, 2)
        self.assertEqual(run("build", "-o", self.dir / "none" / "x.kci", "-k", k).returncode, 8)
        for args in ([], ["frob"], ["--frob"], ["inspect"], ["sign"], ["sign", "x"], ["inspect", "a", "b"], ["key"], ["inspect", "x", "-o", "y"]):
            self.assertEqual(run(*args).returncode, 2, args)

    def test_image_is_as_private_as_its_input(self):
        self.path("k", linux_image())
        initrd = self.path("i", os.urandom(5_000))
        initrd.chmod(0o600)
        self.ok("build", "-o", self.path("o.kci"), "-k", self.path("k"), "-i", initrd)
        self.assertEqual(stat.S_IMODE(self.path("o.kci").stat().st_mode), 0o600)
        self.key()
        self.ok("sign", self.path("o.kci"), "--key", self.path("key.pem"))
        self.assertEqual(stat.S_IMODE(self.path("o.kci").stat().st_mode), 0o600)

    def test_sign(self):
        for options in (["-m", "64M"], ["-m", "3G", "-c", "8"], ["-m", "40G", "-c", "123"], ["--hash", "sha512", "-m", "511G"]):
            path = self.build(*options)
            unsigned = kci.Image(path.read_bytes())
            key = self.key(f"key{len(list(self.dir.iterdir()))}.pem")
            pem = max(self.dir.glob("key*.pem"), key=lambda p: p.stat().st_mtime_ns)
            self.ok("sign", path, "--key", pem, "-o", self.path("s.kci"))
            self.assertEqual(path.read_bytes(), unsigned.data)
            i = kci.Image(self.path("s.kci").read_bytes())
            kci.check_signatures(i)
            self.assertEqual(i.block[0xD0:0xF0], kci.raw(key))
            rim = i.manifest.pop(11)
            self.assertEqual(i.manifest, unsigned.manifest)
            self.assertEqual(i.block[0x90:0xD0], rim)
            self.assertEqual(rim, kci.measure(i, [p for k in range(3) for p in i.pages(k)]))
            self.assertEqual(any(rim[32:]), "sha512" in options)

            out = self.ok("verify", self.path("s.kci"), "--signer", f"{pem}.pub")
            self.assertEqual(out.count("✔"), 4)
            v = json.loads(self.ok("verify", self.path("s.kci"), "--json"))
            self.assertTrue(v["valid"])
            d = json.loads(self.ok("inspect", self.path("s.kci"), "--json"))
            self.assertEqual(d["measurement"], rim[:64 if "sha512" in options else 32].hex())
            self.assertEqual(d["signerDigest"], hashlib.sha256(kci.raw(key)).hexdigest())
            self.assertEqual(d["segments"][0]["sha256"], i.manifest[10][0][4].hex())
            self.assertTrue(d["commandLine"].startswith("swiotlb="))

    def test_sign_again(self):
        path = self.build()
        self.key("1.pem")
        self.key("2.pem")
        self.ok("sign", path, "--key", self.path("1.pem"))
        first = path.read_bytes()
        self.ok("sign", path, "--key", self.path("1.pem"))
        self.assertEqual(path.read_bytes(), first)
        self.ok("sign", path, "--key", self.path("2.pem"))
        kci.check_signatures(kci.Image(path.read_bytes()))
        self.assertNotEqual(path.read_bytes(), first)
        r = run("verify", path, "--signer", self.path("1.pem.pub"), "--json")
        self.assertEqual(r.returncode, 8)
        self.assertEqual([c["status"] for c in json.loads(r.stdout)["checks"]], ["ok", "ok", "fail", "ok"])

    def test_keys(self):
        self.key()
        self.assertEqual(stat.S_IMODE(self.path("key.pem").stat().st_mode), 0o600)
        self.assertIn("exists", self.refused("io", "key", "-o", self.path("key.pem"), code=1))
        path = self.build()
        (self.dir / "pass").write_text("secret words\nmore\n")
        self.ok("key", "-o", self.path("enc.pem"), "--passphrase-file", self.path("pass"))
        self.assertIn(b"ENCRYPTED", self.path("enc.pem").read_bytes())
        load_pem_private_key(self.path("enc.pem").read_bytes(), b"secret words")
        self.ok("sign", path, "--key", self.path("enc.pem"), "--passphrase-file", self.path("pass"))
        (self.dir / "wrong").write_text("other words")
        for args in (["--key", self.path("enc.pem"), "--passphrase-file", self.path("wrong")],
                     ["--key", self.path("enc.pem"), "--passphrase-file", self.path("none")],
                     ["--key", self.path("enc.pem")],
                     ["--key", self.path("key.pem.pub")],
                     ["--key", self.path("junk", b"junk")],
                     ["--key", self.path("large", bytes(70_000))],
                     ["--key", self.dir]):
            before = path.read_bytes()
            self.refused("key", "sign", path, *args)
            self.assertEqual(path.read_bytes(), before)
        for kind in (["-algorithm", "X25519"], ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]):
            subprocess.run(["openssl", "genpkey", *kind, "-out", self.path("other.pem")], check=True, capture_output=True)
            self.assertIn("Ed25519", self.refused("key", "sign", path, "--key", self.path("other.pem")))

    def test_passphrase_is_asked_for(self):
        (self.dir / "pass").write_text("secret words")
        self.ok("key", "-o", self.path("enc.pem"), "--passphrase-file", self.path("pass"))
        path = self.build()
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(KCORECTL, [KCORECTL, "image", "sign", str(path), "--key", str(self.path("enc.pem"))], {**ENV, "TERM": "dumb"})
        out = b""
        while b"Passphrase" not in out:
            out += os.read(fd, 1000)
        while termios.tcgetattr(fd)[3] & termios.ECHO:
            time.sleep(0.01)
        os.write(fd, b"secret words\n")
        try:
            while chunk := os.read(fd, 1000):
                out += chunk
        except OSError:
            pass
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, out)
        self.assertNotIn(b"secret", out)
        os.close(fd)
        kci.check_signatures(kci.Image(path.read_bytes()))

    def test_no_core_dumps_while_there_are_secrets(self):
        path = self.build()
        self.ok("key", "-o", self.path("k.pem"))
        os.mkfifo(self.path("fifo"))
        (self.dir / "pass").write_text("x")
        self.ok("key", "-o", self.path("enc.pem"), "--passphrase-file", self.path("pass"))
        p = subprocess.Popen([KCORECTL, "image", "sign", path, "--key", self.path("enc.pem"), "--passphrase-file", self.path("fifo")],
                             env=ENV, stdout=subprocess.DEVNULL)
        with open(self.path("fifo"), "w") as f:  # it reads now
            limits = pathlib.Path(f"/proc/{p.pid}/limits").read_text()
            owner = os.stat(f"/proc/{p.pid}/mem").st_uid
            self.assertRegex(limits, r"Max core file size\s+0\s+0")
            self.assertEqual(owner, 0)
            f.write("x\n")
        self.assertEqual(p.wait(), 0)


class Sealed(Base):
    """What KCore does with an image, by kci.py."""

    def setUp(self):
        super().setUp()
        self.plain = self.build("-c", "2", "-m", "2G")
        self.key()
        self.ok("sign", self.plain, "--key", self.path("key.pem"))
        self.platforms = [kci.Platform(n) for n in (1, 2, 3)]
        for n, p in enumerate(self.platforms):
            self.path(f"{n}.kplat", p.document())

    def seal(self, *platforms, name="s.kci", image=None):
        args = [a for p in platforms for a in ("--to", self.path(f"{p}.kplat"))]
        out = self.ok("seal", image or self.plain, "-o", self.path(name), *args)
        return kci.Image(self.path(name).read_bytes()), out

    def test_seal(self):
        plain = kci.Image(self.plain.read_bytes())
        sealed, out = self.seal(0, 1)
        self.assertIn(self.platforms[0].root(), out)
        self.assertEqual(len(sealed.header[3][1]), 2)
        self.assertEqual((sealed.manifest, sealed.block, sealed.sign1), (plain.manifest, plain.block, plain.sign1))
        kci.check_signatures(sealed)
        pages = [p for k in range(3) for p in plain.pages(k)]
        for p in self.platforms[:2]:
            opened = list(kci.open_pages(sealed, p.sealing))
            self.assertEqual(opened, pages)
            self.assertEqual(kci.measure(sealed, opened), sealed.block[0x90:0xD0])
        with self.assertRaises(KeyError):
            kci.content_key(sealed, self.platforms[2].sealing)
        self.assertFalse({page for _, page in pages} & {sealed.data[n:n + kci.PAGE] for n in range(0, len(sealed.data), kci.PAGE)} - {bytes(kci.PAGE)})
        self.assertNotIn(b"console=ttyAMA0", sealed.data)

        out = self.ok("verify", self.path("s.kci"), "--signer", self.path("key.pem.pub"))
        self.assertIn("only the platform can check them", out)
        d = json.loads(self.ok("inspect", self.path("s.kci"), "--json"))
        self.assertEqual(d["recipients"], [hashlib.sha256(kci.raw(p.sealing)).hexdigest() for p in self.platforms[:2]])
        self.assertNotIn("commandLine", d)

    def test_other_keys_each_time(self):
        a, b = self.seal(0, name="1.kci")[0], self.seal(0, name="2.kci")[0]
        self.assertNotEqual(kci.content_key(a, self.platforms[0].sealing), kci.content_key(b, self.platforms[0].sealing))
        self.assertNotEqual(a.header[3][1][0][1], b.header[3][1][0][1])

    def test_what_kcore_refuses(self):
        """The binding: nothing opens anywhere but where it was put."""
        me = self.platforms[0].sealing
        a, b = self.seal(0, name="1.kci")[0], self.seal(0, name="2.kci")[0]

        def refused(data):
            with self.assertRaises(kci.InvalidTag):
                list(kci.open_pages(kci.Image(bytes(data)), me))

        at, tags, _ = a.places[0]
        for where in (at, at + 5000, tags, tags + 17, a.places[2][0]):
            data = bytearray(a.data)
            data[where] ^= 1
            refused(data)
        swapped = bytearray(a.data)  # two pages, tags and all
        swapped[at:at + 8192] = a.data[at + 4096:at + 8192] + a.data[at:at + 4096]
        swapped[tags:tags + 32] = a.data[tags + 16:tags + 32] + a.data[tags:tags + 16]
        refused(swapped)
        replayed = bytearray(a.data)  # a page of another sealing of the same image
        replayed[at:at + 4096] = b.data[at:at + 4096]
        replayed[tags:tags + 16] = b.data[tags:tags + 16]
        refused(replayed)
        header = bytearray(a.data)  # its key instead
        ct = a.header[3][1][0][2]
        where = header.index(ct)
        header[where:where + 48] = b.header[3][1][0][2]
        refused(header)
        policy = bytearray(a.data)  # another policy with the same key
        where = a.data.index(a.block)
        policy[where + 0x28] ^= 1
        refused(policy)

    def test_many(self):
        for n in range(64):
            self.path(f"{n}.kplat", kci.Platform(100 + n).document())
        sealed, _ = self.seal(*range(64))
        list(kci.open_pages(sealed, kci.Platform(163).sealing))
        r = run("seal", self.plain, "-o", self.path("x"), *[a for n in range(65) for a in ("--to", self.path(f"{n % 64}.kplat"))])
        self.assertEqual(r.returncode, 2)

    def test_refused(self):
        to = ["--to", self.path("0.kplat"), "-o", self.path("x.kci")]
        self.assertIn("same", self.refused("duplicate", "seal", self.plain, *to, "--to", self.path("0.kplat")))
        self.seal(0)
        self.assertIn("sealed already", self.refused("state", "seal", self.path("s.kci"), *to))
        self.assertIn("sealed", self.refused("state", "sign", self.path("s.kci"), "--key", self.path("key.pem")))
        self.assertIn("not signed", self.refused("state", "seal", self.build(name="unsigned.kci"), *to))
        bad = bytearray(self.plain.read_bytes())
        bad[-5000] ^= 1
        self.assertIn("initrd", self.refused("digest", "seal", self.path("bad.kci", bytes(bad)), *to))
        self.assertFalse(self.path("x.kci").exists())

        good = self.platforms[0].document()
        for name, data in (("chain", kci.Platform(1, chain=False).document()), ("cut", good[:-1]), ("long", good + b"\0"), ("empty", b""),
                           ("huge", bytes(9000)), ("zero", bytes(100)), ("signature", good.replace(b"kcore", b"kcorf")),
                           ("other", good[:200] + self.platforms[1].document()[200:])):
            m = self.refused("platform", "seal", self.plain, "-o", self.path("x.kci"), "--to", self.path(name, data))
            self.assertIn(name, m)
        self.ok("seal", self.plain, *to, "--root", self.platforms[0].root())
        self.assertIn("another root", self.refused("platform", "seal", self.plain, *to, "--root", self.platforms[1].root()))
        for args in (["-o", "x"], ["--to", "x"], [*to, "--root", "ab"]):
            self.assertEqual(run("seal", self.plain, *args).returncode, 2, args)
        self.assertEqual(run("seal", self.plain, "--to", self.path("none"), "-o", self.path("x")).returncode, 8)


class Wrong(Base):
    """Files of this module's own making. First: it makes good ones."""

    KEY = Ed25519PrivateKey.generate()

    def error(self, data, error, text=""):
        message = self.refused(error, "inspect", self.path("x.kci", data))
        self.assertIn(text, message)

    def test_good_ones(self):
        self.ok("inspect", self.path("x.kci", kci.make()))
        self.ok("verify", self.path("x.kci", kci.make(key=self.KEY)))

    def test_file(self):
        good = kci.make()
        for n in (0, 1, 15):
            self.error(good[:n], "file")
        self.error(b"KCOREIMH" + good[8:], "file")
        self.error(good[:8] + b"\2" + good[9:], "version", "version 2")
        for n in (16, 17, 100, 300):
            self.error(good[:n], "size", "inside the header")
        for n in (4096, 5000, len(good) - 1, len(good) - 4096):
            self.error(good[:n], "size", "cut off")
        self.error(good + b"\0", "size", "too long")
        self.error(good + bytes(4096), "size", "too long")
        self.error(good[:12] + struct.pack("<I", 65521) + good[16:] + bytes(65536), "size", "more than allowed")
        self.error(good[:12] + b"\xff\xff\xff\xff" + good[16:], "size", "more than allowed")
        length = struct.unpack_from("<I", good, 12)[0]
        self.error(good[:12] + struct.pack("<I", length + 1) + good[16:], "size", "follow its end")
        self.error(good[:12] + struct.pack("<I", length - 1) + good[16:], "cbor", "middle of an item")
        self.error(good[:4095] + b"\1" + good[4096:], "padding", "4095")
        self.assertEqual(run("inspect", self.dir).returncode, 8)
        self.assertEqual(run("inspect", "/dev/zero").returncode, 8)
        self.assertEqual(run("inspect", self.dir / "none").returncode, 8)

    def test_every_truncated_header(self):
        header = kci.Image(kci.make(key=self.KEY, sealed_to=[bytes(range(32))])).header_bytes
        for n in range(0, len(header), 7):
            self.error(kci.file_of(header[:n], b""), "cbor")

    def edited(self, error, text, edit, **kwargs):
        self.error(kci.make(edit=edit, **kwargs), error, text)

    def manifest(self, error, text, change, **kwargs):
        """change gets the manifest and may return bytes to take instead."""
        def edit(h):
            m = cbor2.loads(h[1].value[2])
            r = change(m)
            h[1].value[2] = r if isinstance(r, bytes) else kci.encode(m)
        self.edited(error, text, edit, **kwargs)

    def test_cbor(self):
        for data, error in ((b"", "cbor"), (b"\xff", "canonical"), (b"\x1c", "cbor"), (b"\xa2\x01", "cbor"), (b"\xbf\xff", "canonical"),
                            (b"\x82\x01\x02", "type"), (b"\xa0", "field"), (b"\xa1\x00\x00", "field"), (b"\xa1\x02\x00", "field"),
                            (b"\xa1\x20\x00", "type"), (b"\xa1\x61a\x00", "type"), (b"\xb8\x02\x01", "canonical"), (b"\xa2\x18\x01", "canonical"),
                            (b"\xa2\x01\x00", "type"), (b"\xa2\x01\xd3\x80", "type"), (b"\xa2\x01\xd8\x12\x84", "canonical"),
                            (b"\xa2\x01\xd2\x84\x5f", "canonical"), (b"\xa2\x01\xd2\x84\x60", "type"), (b"\xa2\x01\xd2\x83", "value"),
                            (b"\xa2\x01\xd2\x9b" + b"\xff" * 8, "value"), (b"\xbb" + b"\xff" * 8 + b"\1\xd2\x84\x5b" + b"\xff" * 8, "cbor"),
                            (b"\xa2\x01\xd2\x84\x40\xa1\x01\x02", "field"), (b"\xa2\x01" + b"\xd2" * 5000, "type"),
                            (b"\xa2\x01\xd2\x84\x40" + b"\xa1\x01" * 5000, "field"), (b"\x81" * 60000, "type"), (b"\xf6", "type"), (b"\xfb" + bytes(8), "type")):
            self.error(kci.file_of(data, b""), error)

    def test_header(self):
        def drop(key):
            return lambda h: h.pop(key) and None
        self.edited("field", "key 1 is missing", drop(1))
        self.edited("field", "key 2 is missing", drop(2))
        self.edited("field", "unknown key 4", lambda h: h.update({4: 0}))
        self.edited("type", "", lambda h: h.update({3: []}))
        good = kci.Image(kci.make()).header
        self.error(kci.file_of(b"\xa3\x01" + kci.encode(good[1]) + b"\x01\x00\x02\x00", b""), "duplicate", "key 1 is there twice")
        self.error(kci.file_of(b"\xa2\x02" + kci.encode(good[2]) + b"\x01" + kci.encode(good[1]), b""), "field", "key 1 is missing")
        self.edited("field", "unprotected", lambda h: h[1].value.__setitem__(1, {4: b"x"}))
        self.edited("value", "protected", lambda h: h[1].value.__setitem__(0, kci.encode({1: -7})), key=self.KEY)
        self.edited("value", "63 bytes", lambda h: h[1].value.__setitem__(3, bytes(63)), key=self.KEY)
        self.edited("value", "0 bytes", lambda h: h[1].value.__setitem__(3, b""), key=self.KEY)
        self.edited("value", "protected", lambda h: h[1].value.__setitem__(0, b""), key=self.KEY)
        self.edited("value", "3 elements", lambda h: h[1].value.pop() and None)
        self.edited("value", "303 bytes", lambda h: h.update({2: h[2][:-1]}))
        self.edited("size", "more than 4096", lambda h: h[1].value.__setitem__(2, bytes(4097)))

    def test_manifest(self):
        for key in range(1, 11):
            self.manifest("field", f"key {key} is missing", lambda m: m.pop(key) and None)
        self.manifest("field", "unknown key 11", lambda m: m.update({11: bytes(64)}))
        self.manifest("field", "key 11 is missing", lambda m: m.pop(11) and None, key=self.KEY)
        self.manifest("field", "unknown key 12", lambda m: m.update({12: 0}), key=self.KEY)
        self.manifest("type", "", lambda m: m.update({1: b"bytes"}))
        self.manifest("type", "", lambda m: m.update({3: "1"}))
        self.manifest("type", "", lambda m: m.update({3: -1}))
        self.manifest("type", "", lambda m: m.update({4: 1.5}))
        self.manifest("type", "", lambda m: m.update({10: {}}))
        self.manifest("type", "", lambda m: m.update({9: [0]}))
        self.manifest("type", "a tag", lambda m: m.update({9: cbor2.CBORTag(5000, 0)}))
        self.manifest("size", "follow its end", lambda m: kci.encode(m) + b"\0")
        self.manifest("cbor", "", lambda m: kci.encode(m)[:-1])
        self.manifest("canonical", "shortest", lambda m: kci.encode(m).replace(b"\x03\x01\x04", b"\x03\x18\x01\x04", 1))
        self.manifest("duplicate", "key 3 is there twice", lambda m: b"\xab" + kci.encode(m)[1:].replace(b"\x03\x01\x04", b"\x03\x01\x03\x01\x04", 1))
        self.manifest("canonical", "key 2 comes after key 3", lambda m: kci.encode(m).replace(b"\x03\x01\x04", b"\x03\x01\x02\x04", 1))
        for v in ("", "x" * 65, "a\nb", "a\0b", "ü", "\x1b[2J"):
            self.manifest("value", "", lambda m: m.update({1: v}))
        for k, v in ((2, bytes(31)), (3, 0), (3, 124), (3, 1 << 32), (4, 0), (4, (64 << 20) + 4096), (4, 1 << 40), (5, 34), (5, 1 << 33), (6, 2),
                     (7, kci.RAM_BASE), (7, kci.RAM_BASE + 0x200001), (7, kci.RAM_BASE + 0x200000 + 5004), (8, kci.RAM_BASE + 0x400008)):
            self.manifest("value", "", lambda m: m.update({k: v}))

    def test_policy(self):
        for k in range(1, 6):
            self.manifest("field", f"key {k} is missing", lambda m: m[9].pop(k) and None)
        self.manifest("field", "policy: unknown key 6", lambda m: m[9].update({6: 0}))
        for k, v, text in ((1, 4, "flags 0x4"), (2, 0, "vCPUs"), (2, 513, "vCPUs"), (3, 16383, "private"), (5, 1 << 32, "version")):
            self.error(kci.make(changes={9: {1: 0, 2: 1, 3: 16384, 4: 0, 5: 0} | {k: v}}), "value", text)

    def test_block(self):
        for at, text in ((0, "magic"), (8, "version"), (0x10, "flags"), (0x18, "vCPUs"), (0x20, "private"), (0x28, "shared"), (0x30, "minimum"),
                         (0x38, "image id"), (0x57, "image id"), (0x58, "reserved"), (0x8F, "reserved"), (0x90, "measurement"), (0xCF, "measurement")):
            for key in (None, self.KEY):
                def edit(h):
                    b = bytearray(h[2])
                    b[at] ^= 0x80
                    h[2] = bytes(b)
                self.edited("block", text, edit, key=key)
        self.edited("block", "it has a signer", lambda h: h.update({2: h[2][:0xD0] + b"x" + h[2][0xD1:]}))
        self.edited("block", "it has a signer", lambda h: h.update({2: h[2][:-1] + b"x"}))
        self.edited("block", "no signer", lambda h: h.update({2: h[2][:0xD0] + bytes(32) + h[2][0xF0:]}), key=self.KEY)

    def test_segments(self):
        K, D = kci.RAM_BASE + 0x200000, kci.RAM_BASE + 0x400000
        end = kci.RAM_BASE + (64 << 20)
        for error, text, segments in (
                ("segment", "overlaps", [(1, K, b"k" * 5000), (3, K + 4096, b"d")]),
                ("segment", "overlaps", [(1, K, b"k" * 5000), (3, K, b"d")]),
                ("segment", "overlaps", [(1, K, b"k"), (2, D, b"i"), (3, D - 4096, b"d")]),
                ("segment", "not inside", [(1, K, b"k"), (3, end, b"d")]),
                ("segment", "not inside", [(1, K, b"k"), (3, end - 4096, b"d" * 4097)]),
                ("segment", "not inside", [(1, kci.RAM_BASE - 4096, b"k"), (3, D, b"d")]),
                ("segment", "not inside", [(1, K, b"k"), (3, (1 << 64) - 4096, b"d")]),
                ("segment", "multiple", [(1, K + 1, b"k" * 8), (3, D, b"d")]),
                ("segment", "empty", [(1, K, b"k"), (3, D, b"")]),
                ("segment", "second kernel", [(1, K, b"k"), (1, K + 4096, b"k"), (3, D, b"d")]),
                ("segment", "no device tree", [(1, K, b"k")]),
                ("segment", "no kernel", [(3, D, b"d")]),
                ("value", "kind 4", [(1, K, b"k"), (4, D, b"d")]),
                ("value", "kind 0", [(0, K, b"k"), (3, D, b"d")]),
                ("value", "more than 16", [(1, K + n * 4096, b"k") for n in range(17)]),
        ):
            self.error(kci.make(segments), error, text)
        self.manifest("segment", "not inside", lambda m: m[10][0].update({3: (1 << 64) - 1}))
        self.manifest("segment", "not inside", lambda m: m[10][0].update({3: 1 << 63}))
        for k in range(1, 5):
            self.manifest("field", f"key {k} is missing", lambda m: m[10][0].pop(k) and None)
        self.manifest("value", "31 bytes", lambda m: m[10][0].update({4: bytes(31)}))
        self.manifest("field", "unknown key 5", lambda m: m[10][0].update({5: 0}))

    def test_sealed_header(self):
        a, b = kci.raw(kci.X25519PrivateKey.generate()), kci.raw(kci.X25519PrivateKey.generate())
        self.ok("inspect", self.path("x.kci", kci.make(key=self.KEY, sealed_to=[a, b])))
        self.error(kci.make(sealed_to=[a]), "state", "not signed")
        self.error(kci.make(key=self.KEY, sealed_to=[a, a]), "duplicate", "recipients 1 and 2")
        for edit, error in ((lambda h: h.update({3: {}}), "field"), (lambda h: h.update({3: {1: []}}), "value"),
                            (lambda h: h.update({3: {1: h[3][1] * 65}}), "value"), (lambda h: h[3][1][0].pop() and None, "value"),
                            (lambda h: h[3][1][0].__setitem__(0, b"x"), "value"), (lambda h: h[3].update({2: 0}), "field"),
                            (lambda h: h[3][1][0].__setitem__(2, bytes(49)), "value")):
            self.edited(error, "", edit, key=self.KEY, sealed_to=[a])

    def test_data(self):
        good = kci.make(key=self.KEY)
        self.key()
        self.assertEqual(run("verify", self.path("x.kci", good)).returncode, 0)
        for at in (4096, 8192, 4096 + 4999, 4096 + 5000, 4096 + 8191, len(good) - 4096, len(good) - 1):
            bad = bytearray(good)
            bad[at] ^= 1
            r = run("verify", self.path("x.kci", bytes(bad)), "--json")
            self.assertEqual(r.returncode, 8, at)
            self.assertEqual([c.get("error") for c in json.loads(r.stdout)["checks"]], [None, None, None, "digest"])
            self.refused("digest", "sign", self.path("x.kci"), "--key", self.path("key.pem"))
            self.assertEqual(self.path("x.kci").read_bytes(), bytes(bad))

    def test_filling_that_is_not_zero(self):
        """Bytes behind a segment's length, with a digest that fits them."""
        def edit(h):
            m = cbor2.loads(h[1].value[2])
            m[10][0][3] = 4999
            h[1].value[2] = kci.encode(m)
        r = run("verify", self.path("x.kci", kci.make(edit=edit)), "--json")
        self.assertEqual(json.loads(r.stdout)["checks"][3]["error"], "padding")

    def test_signatures(self):
        good = kci.make(key=self.KEY)
        for change, error in (
                (lambda h: h[1].value.__setitem__(3, bytes(64)), "manifest"),
                (lambda h: h.update({2: h[2][:-1] + bytes([h[2][-1] ^ 1])}), "launch block"),
                (lambda h: h.update({2: h[2][:0xD0] + kci.raw(Ed25519PrivateKey.generate()) + h[2][0xF0:]}), "launch block")):
            r = run("verify", self.path("x.kci", kci.make(key=self.KEY, edit=change)), "--json")
            self.assertEqual(r.returncode, 8)
            check = json.loads(r.stdout)["checks"][1]
            self.assertEqual(check["error"], "signature")
            self.assertIn(error, check["message"])
        # A manifest of another image of the same tenant, with its good signature.
        other = kci.Image(kci.make(key=self.KEY, changes={1: "other"}))
        self.error(kci.make(key=self.KEY, edit=lambda h: h.update({1: cbor2.CBORTag(18, kci.Image(kci.make(key=self.KEY, changes={2: bytes(32)})).sign1)})),
                   "block", "image id")
        self.assertNotEqual(other.data, good)

    def test_measurement(self):
        """A signature over a measurement that is not that of the data."""
        def edit(h):
            m = cbor2.loads(h[1].value[2])
            m[11] = b"x" * 32 + bytes(32)
            block = kci.make_block(m, m[11], kci.raw(self.KEY))
            h[2] = block + self.KEY.sign(block)
            h[1].value[2] = kci.encode(m)
            h[1].value[3] = self.KEY.sign(kci.to_be_signed(h[1].value[0], h[1].value[2]))
        r = run("verify", self.path("x.kci", kci.make(key=self.KEY, edit=edit)), "--json")
        self.assertEqual([c.get("error") for c in json.loads(r.stdout)["checks"]], [None, None, None, "measurement"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
