#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line as a person or a script meets it on a machine without KCore: help, exit codes, JSON,
errors, completion and manual pages."""

import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

KCORECTL, KCORESD, SOURCE = sys.argv[1:4]
VERBS = ["launch", "list", "show", "console", "stop", "status", "top", "monitor", "metrics", "platform", "doctor", "log", "image", "measure", "attest",
         "verify", "convert", "define"]
ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm"}
for _name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
    if _name in os.environ:
        ENV[_name] = os.environ[_name]


def run(*args, env=None, stdin=subprocess.DEVNULL):
    return subprocess.run([KCORECTL, *args], env={**ENV, **(env or {})}, stdin=stdin, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_on_terminal(*args, env=None):
    """Output of kcorectl on a terminal."""
    master, slave = pty.openpty()
    p = subprocess.Popen([KCORECTL, *args], env={**ENV, **(env or {})}, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    out = b""
    try:
        while chunk := os.read(master, 4096):
            out += chunk
    except OSError:
        pass
    os.close(master)
    return p.wait(), out.decode()


class WithoutDaemon(unittest.TestCase):
    def no_daemon(self, *args):
        return run("--socket", "/nonexistent/socket", *args)

    def test_help(self):
        r = run("--help")
        self.assertEqual(r.returncode, 0)
        for verb in VERBS:
            self.assertIn(f"\n  {verb}", r.stdout)
        self.assertTrue(all(len(line) <= 90 for line in r.stdout.splitlines()))

    def test_help_of_verbs(self):
        for verb in VERBS:
            for option in ("--help", "-h"):
                r = run(verb, option)
                self.assertEqual((r.returncode, r.stderr), (0, ""), verb)
                self.assertTrue(r.stdout.startswith(f"usage: kcorectl {verb}"), verb)

    def test_version(self):
        r = run("--version")
        self.assertEqual(r.returncode, 0)
        self.assertRegex(r.stdout, r"^kcorectl \d+\.\d+\.\d+\n$")

    def test_usage_errors(self):
        for args in ([], ["frob"], ["--frob"], ["list", "x"], ["list", "--frob"], ["show"], ["show", "a", "b"],
                     ["console"], ["stop"], ["stop", "--timeout", "x", "a"], ["stop", "--timeout", "99999", "a"], ["stop", "--all", "a"],
                     ["log", "a", "b"], ["launch"], ["launch", "-k", "x", "y"], ["launch", "x", "y"], ["launch", "x", "-m", "1G"], ["launch", "x", "-a", "q"], ["launch", "-k", "x", "-m", "much"],
                     ["launch", "-k", "x", "-c", "-1"], ["launch", "-k", "x", "-n", "bridge"],
                     ["launch", "-k", "x", "-n", "tap"], ["launch", "-k", "x", "-p", "80"],
                     ["launch", "-k", "x", "-p", "80:99999"], ["launch", "-k", "x", "--uuid", "zz"],
                     ["launch", "-k", "x", "--console", "--wait"], ["launch", "-k"], ["top", "x"], ["top", "-d", "0"],
                     ["top", "-n", "0"], ["monitor", "x"], ["metrics", "x"], ["metrics", "--http", "--json"]):
            r = run(*args)
            self.assertEqual(r.returncode, 2, args)
            self.assertEqual(r.stdout, "", args)
            self.assertNotEqual(r.stderr, "", args)

    def test_no_daemon(self):
        for args in (["list"], ["show", "a"], ["console", "a"], ["stop", "a"], ["status"], ["log"], ["log", "a"],
                     ["launch", "-k", "/dev/null"]):
            r = self.no_daemon(*args)
            self.assertEqual(r.returncode, 4, args)
            self.assertIn("kcoresd can not be reached", r.stderr)
            self.assertIn("fix: ", r.stderr)

    def test_errors_as_json(self):
        for args in (["--json", "list"], ["list", "--json"], ["status", "-j"]):
            r = self.no_daemon(*args)
            self.assertEqual(r.returncode, 4)
            self.assertEqual(r.stderr, "")
            e = json.loads(r.stdout)
            self.assertEqual((e["error"], e["exitCode"]), ("NoDaemon", 4))
            self.assertIn("systemctl", e["fix"])

    def test_doctor_looks_itself(self):
        r = self.no_daemon("doctor", "--json")
        self.assertEqual(r.returncode, 3)
        checks = {c["check"]: c for c in json.loads(r.stdout)["checks"]}
        self.assertEqual(checks["daemon"]["status"], "fail")
        for c in checks.values():
            self.assertEqual("fix" in c, c["status"] == "fail", c)
            if c["check"] != "libvirt":     # says what is not there
                self.assertEqual("message" in c, c["status"] != "skip", c)
        if os.uname().machine != "aarch64":
            self.assertEqual(checks["machine"]["status"], "fail")
            self.assertEqual(checks["core"]["status"], "skip")
        text = self.no_daemon("doctor").stdout
        for c in checks.values():
            self.assertIn(c["title"], text)
            self.assertIn(c.get("message", "skipped"), text)
            self.assertIn(c.get("fix", ""), text)

    def test_colours(self):
        self.assertNotIn("\x1b", self.no_daemon("doctor").stdout)
        args = ("--socket", "/nonexistent/socket", "doctor")
        self.assertIn("\x1b[", run_on_terminal(*args)[1])
        self.assertNotIn("\x1b", run_on_terminal(*args, env={"NO_COLOR": "1"})[1])
        self.assertNotIn("\x1b", run_on_terminal(*args, env={"TERM": "dumb"})[1])


class WithDaemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("the daemon answers root only")
        cls.dir = tempfile.TemporaryDirectory()
        cls.socket = cls.dir.name + "/socket"
        cls.daemon = subprocess.Popen([KCORESD, "--socket", cls.socket, "--runtime-directory", cls.dir.name + "/run"],
                                      env=ENV, stderr=subprocess.PIPE)
        for _ in range(200):
            if os.path.exists(cls.socket):
                break
            time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.send_signal(signal.SIGTERM)
        code = cls.daemon.wait(20)
        cls.daemon.stderr.close()
        cls.dir.cleanup()
        assert code == 0, f"kcoresd ended with {code}"

    def ctl(self, *args):
        return run("--socket", self.socket, *args)

    def test_list(self):
        r = self.ctl("list")
        self.assertEqual((r.returncode, r.stdout), (0, "No guests.\n"))
        self.assertEqual(json.loads(self.ctl("list", "--json").stdout), {"guests": []})

    def test_stop_of_several_and_of_all(self):
        r = self.ctl("stop", "x", "y", *(f"z{i}" for i in range(40)))
        self.assertEqual(r.returncode, 6)
        self.assertEqual(r.stderr.count("there is no guest"), 42)
        r = self.ctl("stop", "--all")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, "", ""))

    def test_no_such_guest(self):
        for args in (["show", "x"], ["stop", "x"], ["console", "x"], ["log", "x"], ["show", "../x"], ["stop", "x" * 5000]):
            r = self.ctl(*args)
            self.assertEqual(r.returncode, 6, args)
            self.assertIn("there is no guest", r.stderr)

    def test_name_that_is_no_text(self):
        r = subprocess.run([KCORECTL, "--socket", self.socket, "show", b"\xff\xfe"], env=ENV, capture_output=True)
        self.assertEqual(r.returncode, 2)

    def test_bad_files(self):
        missing = self.dir.name + "/missing"
        empty = self.dir.name + "/empty"
        open(empty, "w").close()
        for file, code, words in ((missing, 8, "No such file"), (self.dir.name, 8, "not a regular file"),
                                  (empty, 8, "empty file"), ("/dev/zero", 8, "not a regular file")):
            r = self.ctl("launch", "--name", "a", "--kernel", file)
            self.assertEqual(r.returncode, code, file)
            self.assertIn(words, r.stderr)
            self.assertIn(file, r.stderr)
        big = self.dir.name + "/big"
        with open(big, "w") as f:
            f.truncate(257 << 20)
        r = self.ctl("launch", "--name", "a", "--kernel", big)
        self.assertEqual(r.returncode, 8)
        self.assertIn("too big for a kernel: at most 256M", r.stderr)
        good = self.dir.name + "/good"
        with open(good, "w") as f:
            f.write("x" * 100)
        for args in (["--disk", missing], ["--initrd", missing], ["--network", "tap:no-such-if"]):
            r = self.ctl("launch", "--name", "a", "--kernel", good, *args)
            self.assertEqual(r.returncode, 8, args)

    def test_bad_values(self):
        for args, words in ((["--memory", "3M"], "multiple of 2M"), (["--vcpus", "0"], "from 1 to 123"),
                            (["--name", "a b"], "a guest name has"), (["--append", "x" * 3000], "longer than 2047"),
                            (["--append", "a\nb"], "control character"), (["--publish", "1:2"], "network user only")):
            r = self.ctl("launch", "--name", "a", "--kernel", "/dev/null", *args)
            self.assertEqual(r.returncode, 8, args)
            self.assertIn(words, r.stderr)

    @unittest.skipIf(os.path.exists("/dev/kcore"), "this machine has KCore")
    def test_launch_and_doctor_have_the_same_words(self):
        kernel = self.dir.name + "/kernel"
        with open(kernel, "w") as f:
            f.write("x" * 100)
        r = self.ctl("--json", "launch", "--name", "a", "--kernel", kernel)
        self.assertEqual(r.returncode, 3)
        error = json.loads(r.stdout)
        d = self.ctl("doctor", "--json")
        self.assertEqual(d.returncode, 3)
        first = next(c for c in json.loads(d.stdout)["checks"] if c["status"] == "fail")
        self.assertEqual(error["message"], f"{first['title']}: {first['message']}")
        self.assertEqual(error["fix"], first["fix"])

    @unittest.skipIf(os.path.exists("/dev/kcore"), "this machine has KCore")
    def test_no_core(self):
        r = self.ctl("status", "--json")
        self.assertEqual(r.returncode, 3)
        self.assertNotIn("core", json.loads(r.stdout))
        self.assertEqual(self.ctl("log").returncode, 3)

    def test_other_users_are_refused(self):
        os.chmod(self.dir.name, 0o711)
        os.chmod(self.socket, 0o666)  # even if somebody opens the socket to all
        r = subprocess.run([KCORECTL, "--socket", self.socket, "list"], env=ENV, capture_output=True, text=True,
                           user=65534, group=65534, extra_groups=[])
        self.assertEqual(r.returncode, 5, r.stderr)
        os.chmod(self.socket, 0o660)
        r = subprocess.run([KCORECTL, "--socket", self.socket, "list"], env=ENV, capture_output=True, text=True,
                           user=65534, group=65534, extra_groups=[])
        self.assertEqual(r.returncode, 5, r.stderr)
        self.assertIn("group kcore", r.stderr)


class Metrics(unittest.TestCase):
    """The HTTP side, as a socket unit starts it: one request on standard input."""

    def ask(self, request):
        r = subprocess.run([KCORECTL, "--socket", "/nonexistent/socket", "metrics", "--http"], env=ENV, input=request,
                           capture_output=True, timeout=60)
        head, _, body = r.stdout.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.assertIn(f"Content-Length: {len(body)}", lines)
        return int(lines[0].split()[1])

    def test_http(self):
        self.assertEqual(self.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 503)     # no daemon
        self.assertEqual(self.ask(b"GET /metrics?x=y HTTP/1.0\n\n"), 503)
        for path in (b"/", b"/metricsx", b"/metrics", b""):
            self.assertEqual(self.ask(b"GET " + path + b"\r\n\r\n"), 404, path)
        for request in (b"POST /metrics HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"\xff\xfe\r\n\r\n", b"\0\r\n\r\n\n\n"):
            self.assertIn(self.ask(request), (400, 405), request)
        for request in (b"", b"GET /metrics HTTP/1.1\r\n", b"x" * 100000, b"\0" * 9000):
            self.assertEqual(self.ask(request), 400, request[:20])


class Documents(unittest.TestCase):
    def test_manual_pages(self):
        for page in ("kcorectl.1", "kcoresd.8", "kcore-qemu.8", "libkcore-attest.3"):
            path = f"{SOURCE}/packaging/man/{page}"
            r = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
            self.assertEqual(r.stdout, "", page)

    def test_options_are_documented(self):
        page, bash, zsh = (pathlib.Path(SOURCE, "packaging", name).read_text() for name in
                           ("man/kcorectl.1", "completion/kcorectl.bash", "completion/kcorectl.zsh"))
        for verb in VERBS:
            self.assertIn(f".Ss {verb}", page)
            for option in re.findall(r"^  .*--([a-z-]+)", run(verb, "--help").stdout, re.M):
                self.assertIn(f"Fl -{option}" if f"Fl -{option}" in page else f", -{option}", page, f"{verb} --{option}")
                self.assertIn(f"--{option}", bash)
                self.assertIn(f"--{option}", zsh)

    def complete(self, line):
        script = (f"source {SOURCE}/packaging/completion/kcorectl.bash; kcorectl() {{ {KCORECTL} --socket /nonexistent \"$@\"; }}; "
                  f"COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _kcorectl; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        return subprocess.run(["bash", "-c", script], env=ENV, capture_output=True, text=True).stdout.split()

    def test_bash_completion(self):
        self.assertEqual(self.complete("kcorectl st"), ["stop", "status"])
        self.assertEqual(self.complete("kcorectl --json do"), ["doctor"])
        self.assertIn("--kernel", self.complete("kcorectl launch --"))
        self.assertEqual(self.complete("kcorectl launch --network u"), ["user"])
        self.assertEqual(self.complete("kcorectl stop --f"), ["--force"])
        self.assertEqual(self.complete("kcorectl image se"), ["seal"])
        self.assertEqual(self.complete("kcorectl image seal --t"), ["--to"])
        self.assertEqual(self.complete("kcorectl image build --hash sha5"), ["sha512"])

    def test_shell_syntax(self):
        for shell in ("bash", "zsh"):
            path = f"{SOURCE}/packaging/completion/kcorectl.{shell}"
            try:
                r = subprocess.run([shell, "-n", path], capture_output=True, text=True)
            except FileNotFoundError:
                self.assertEqual(shell, "zsh")
                continue
            self.assertEqual((r.returncode, r.stderr), (0, ""), shell)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
