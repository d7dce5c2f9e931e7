# SPDX-License-Identifier: Apache-2.0
"""The front door: what it refuses and how, the machine's mirrors, steps, the
tally of test results."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPTS = SOURCE / "scripts"
VERBS = ["demo", "test", "build", "bench", "shell", "clean"]


def kcore(*arguments, prefix=(), **environment):
    return subprocess.run([*prefix, str(SOURCE / "kcore"), *arguments], capture_output=True, text=True, timeout=60,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment})


def shell(script, *arguments, path=None, cache="/nonexistent/cache"):
    """Runs a script with the front door's parts loaded."""
    head = f'kcore_src={SOURCE} kcore_cache={cache}; . {SCRIPTS}/ui.sh; . {SCRIPTS}/toolbox.sh; set -u\n'
    environment = {"PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}
    return subprocess.run(["bash", "-c", head + script, "shell", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, env=environment)


# --- command line -----------------------------------------------------------

def test_help_names_every_verb():
    done = kcore("--help")
    assert done.returncode == 0
    for verb in VERBS:
        assert re.search(rf"^  {verb}\b", done.stdout, re.M), verb
    assert "./kcore shell server" in done.stdout and "./kcore shell guest" in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb):
    done = kcore(verb, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: ./kcore {verb}")


@pytest.mark.parametrize("arguments", [
    [], ["nonsense"], ["--nonsense"], ["--mirror"], ["build", "nonsense"], ["test", "nonsense"], ["demo", "nonsense"],
    ["shell", "nonsense"], ["shell", "guest", "ls"], ["clean", "nonsense"], ["demo", "--mirror"],
], ids=" ".join)
def test_wrong_usage(arguments, tmp_path):
    done = kcore(*arguments, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr != ""
    assert list(tmp_path.iterdir()) == [], "wrong usage made something"


@pytest.mark.skipif(not shutil.which("setpriv") or os.getuid() != 0, reason="only root can drop its rights")
def test_needs_root(tmp_path):
    done = kcore("build", "hyp", prefix=["setpriv", "--reuid=65534", "--clear-groups"], XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 3
    assert "needs root" in done.stderr and "sudo" in done.stderr


@pytest.mark.parametrize("arguments", [["clean"], ["clean", "--all"]], ids=" ".join)
def test_clean_spares_a_directory_that_is_no_cache(arguments, tmp_path):
    precious = tmp_path / "kcore" / "build" / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("x")
    done = kcore(*arguments, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 3, done.stdout + done.stderr
    assert precious.exists()


# --- parts ------------------------------------------------------------------

@pytest.fixture
def part(tmp_path):
    """Builds a part with a meson and a ninja that only say what they were asked."""
    for name, script in (("meson", 'eval "dir=\\${$#}"; [ "$1" != setup ] || { mkdir -p "$dir"; touch "$dir/build.ninja"; }'),
                         ("ninja", "echo ninja: no work to do.")):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$1"\n{script}\n')
        (tmp_path / name).chmod(0o755)

    def build(*options):
        done = subprocess.run([SCRIPTS / "build-part", tmp_path / "out", "hyp", *options], capture_output=True, text=True,
                              timeout=60, cwd=SOURCE, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
        assert done.returncode == 0, done.stderr
        return "meson setup" in done.stdout
    return build


def test_part_is_configured_once(part):
    assert part("--a")
    assert not part("--a")
    assert part("--b"), "other options need another configuration"


def test_part_whose_configuration_was_interrupted(part, tmp_path):
    assert part()
    (tmp_path / "out" / "build.ninja").unlink()
    assert part()


# --- mirrors ----------------------------------------------------------------

@pytest.fixture
def apt(tmp_path):
    """A machine whose apt-get indextargets says what the test wants."""
    def make(targets, config=""):
        for name, output in (("apt-get", targets), ("apt-config", config)):
            (tmp_path / f"{name}.out").write_text(output)
            (tmp_path / name).write_text(f"#!/bin/sh\ncat {tmp_path}/{name}.out\n")
            (tmp_path / name).chmod(0o755)
        return tmp_path
    return make


@pytest.mark.parametrize("targets, expected", [
    ("http://m.example/debian/|bookworm|Debian\nhttp://m.example/debian/|bookworm-updates|Debian\n"
     "http://s.example/sec/|bookworm-security|Debian\n",
     "main http://m.example/debian\nsecurity http://s.example/sec\n"),
    # Another project's archive for the same release comes first.
    ("https://docker.example/debian/|trixie|Docker\nhttps://m.example/d|trixie|Debian\n", "main https://m.example/d\n"),
    # Only the first of several mirrors; backports and debug archives are no mirror of the release.
    ("http://d.example/|trixie-debug|Debian\nhttp://b.example/|trixie-backports|Debian\nhttp://1.example/|trixie|Debian\n"
     "http://2.example/|trixie|Debian\n", "main http://1.example\n"),
    # A CD is no use to a toolbox that is made later.
    ("cdrom://[Debian 13]/|trixie|Debian\n", ""),
    # apt-get update never ran: apt knows addresses but not whose they are.
    ("http://m.example/debian/|$(RELEASE)|$(ORIGIN)\n", ""),
    ("", ""),
])
def test_apt_mirrors(apt, targets, expected):
    done = shell("toolbox_apt_mirrors", path=apt(targets))
    assert done.stdout == expected


def test_apt_mirror_list(apt, tmp_path):
    lists = tmp_path / "debian.list"
    lists.write_text("# comment\nhttps://cdn.example/debian/\tpriority:1\nhttps://other.example/debian/\n")
    done = shell("toolbox_apt_mirrors", path=apt(f"mirror+file:{lists}/|trixie|Debian\n"))
    assert done.stdout == "main https://cdn.example/debian\n"


def test_apt_options(apt):
    config = '''Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::Proxy "";
Acquire::Check-Date "false";
Acquire::IndexTargets::deb::Packages::MetaKey "$(COMPONENT)/Packages";
APT::Architecture "amd64";
'''
    done = shell("toolbox_apt_options", path=apt("", config))
    assert done.stdout == 'Acquire::http::Proxy "http://proxy.example:3128"\nAcquire::Check-Date "false"\n'


def test_no_mirror_is_an_error_with_its_remedy(apt, tmp_path):
    done = shell("toolbox_need_host() { :; }; toolbox_make", path=apt(""), cache=tmp_path / "cache")
    assert done.returncode == 3
    assert "--mirror" in done.stdout


def test_no_registry_in_the_tree():
    """Mirrors come from the machine; the tree names none."""
    for path in [SOURCE / "kcore", *SCRIPTS.iterdir()]:
        if path.is_file():
            assert not re.search(r"https?://[a-z.]*debian\.org", path.read_text()), path


# --- toolbox ----------------------------------------------------------------

def test_packages_by_architecture():
    amd64 = shell("toolbox_packages amd64").stdout.split()
    arm64 = shell("toolbox_packages arm64").stdout.split()
    assert "meson" in amd64 and "meson" in arm64
    assert "libfdt-dev:arm64" in amd64 and "libfdt-dev:arm64" not in arm64
    assert not [p for p in amd64 if p.startswith("src:") or "#" in p or "[" in p]
    assert len(amd64) == len(set(amd64))


def test_failed_toolbox_is_not_used(apt, tmp_path):
    """mmdebstrap fails half way: nothing under the name that is used."""
    path = apt("http://m.example/debian/|trixie|Debian\n")
    fake = path / "mmdebstrap"
    fake.write_text('#!/bin/sh\nfor a in "$@"; do case "$a" in *.part) mkdir -p "$a/usr";; esac; done\nexit 25\n')
    fake.chmod(0o755)
    cache = tmp_path / "cache"
    cache.mkdir()
    done = shell("toolbox_make", path=path, cache=cache)
    assert done.returncode == 25
    assert [p.name for p in cache.iterdir() if not p.name.endswith(".part")] == []


# --- steps ------------------------------------------------------------------

def steps(script, directory):
    return shell(f"ui_init; ui_steps {directory}/log 3\n{script}")


@pytest.mark.parametrize("seconds, text", [(0, "0s"), (59, "59s"), (60, "1m00s"), (3599, "59m59s"), (7384, "2h03m04s")])
def test_time(seconds, text):
    assert shell(f"ui_time {seconds}").stdout == text


def test_step_passes(tmp_path):
    done = steps("step 'The thing' echo hello; echo rc=$?", tmp_path)
    assert re.fullmatch(r"ok \[1/3\] The thing +\d\.\ds\nrc=0\n", done.stdout), done.stdout
    assert (tmp_path / "log/01-the-thing.log").read_text() == "hello\n"


def test_step_says_cached(tmp_path):
    done = steps("step A echo cached; step B echo 'cached: Linux 6'; step C echo 'done: 3 files'", tmp_path)
    assert [line.split("s  ")[-1] for line in done.stdout.splitlines()] == ["cached", "cached, Linux 6", "3 files"]


def test_failed_step_shows_its_log(tmp_path):
    done = steps("f() { seq 100; echo the reason >&2; return 9; }; step B f; echo rc=$?", tmp_path)
    assert "rc=9" in done.stdout and "FAILED [1/3] B" in done.stdout
    assert "the reason" in done.stderr and "    100\n" in done.stderr and "    10\n" not in done.stderr
    assert f"{tmp_path}/log/01-b.log" in done.stderr


def test_interrupt_ends_the_step(tmp_path):
    mark = tmp_path / "mark"
    script = (f"kcore_src={SOURCE} kcore_cache=/x; . {SCRIPTS}/ui.sh; ui_init; ui_steps {tmp_path}/log 1\n"
              f"f() {{ touch {mark}; sleep 1000; }}; step S f; echo not reached")
    process = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(100):
        if mark.exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)    # would wait for `sleep` if it still held the pipes
    assert process.returncode == 130
    assert "interrupted" in stderr and "not reached" not in stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a PID namespace")
def test_interrupt_ends_a_namespace(tmp_path):
    """As in_toolbox_alone() makes one, for levels that start servers."""
    mark = tmp_path / "mark"
    script = (f"kcore_src={SOURCE} kcore_cache=/x; . {SCRIPTS}/ui.sh; ui_init; ui_steps {tmp_path}/log 1\n"
              f"f() {{ unshare --pid --fork --kill-child bash -c 'touch {mark}; timeout 600 tail -f {mark} & wait'; }}; step S f")
    process = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not mark.exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    for _ in range(50):
        left = subprocess.run(["pgrep", "-f", f"tail -f {mark}"], capture_output=True, text=True).stdout
        if not left:
            break
        time.sleep(0.1)
    assert not left


# --- tally ------------------------------------------------------------------

def tally(directory, levels, **files):
    for name, text in files.items():
        level, file = name.split("__")
        (directory / level).mkdir(exist_ok=True)
        (directory / level / f"{file}.xml").write_text(text)
    return subprocess.run([sys.executable, str(SCRIPTS / "tally.py"), str(directory), *levels],
                          capture_output=True, text=True, timeout=60)


PASSED = '<testsuites><testsuite name="s"><testcase name="a"/><testcase name="b"/></testsuite></testsuites>'
FAILED = ('<testsuite name="s"><testcase name="a"/><testcase name="bad"><failure message="why it broke"/></testcase>'
          '<testcase name="c"><skipped message="no disk"/></testcase></testsuite>')


def test_tally_adds_up(tmp_path):
    done = tally(tmp_path, ["unit=0", "emu=1"], unit__a=PASSED, unit__b=PASSED, emu__x=FAILED)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "5 passed, 1 failed, 1 skipped"
    assert "emu: s: bad" in done.stdout and "why it broke" in done.stdout and "no disk" in done.stdout


def test_tally_of_success(tmp_path):
    done = tally(tmp_path, ["unit=0"], unit__a=PASSED)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 passed, 0 failed")


@pytest.mark.parametrize("status, text", [
    (0, '<testsuite name="s"/>'),                       # nothing ran
    (0, "<testsuite name='s'><testcase"),               # cut off
    (124, PASSED),                                      # the runner was killed
    (0, '<testsuite><testcase name="a"><skipped/></testcase></testsuite>'),     # all skipped
    (1, '<testsuite><testcase name="a"><error message="setup"/></testcase></testsuite>'),
    (1, '<testsuite><testcase name="a" result="TIMEOUT"/></testsuite>'),
])
def test_tally_loses_nothing(tmp_path, status, text):
    done = tally(tmp_path, [f"unit={status}"], unit__a=text)
    assert done.returncode == 1
    assert re.search(r", 1 failed", done.stdout.splitlines()[-1])


def test_tally_of_a_level_without_results(tmp_path):
    done = tally(tmp_path, ["unit=0", "emu=0"], unit__a=PASSED)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "2 passed, 1 failed")


# --- the scripts themselves -------------------------------------------------

@pytest.mark.parametrize("script", ["kcore", "scripts/ui.sh", "scripts/toolbox.sh", "scripts/build-kserv",
                                    "scripts/run-level", ".ci/run"])
def test_shellcheck(script):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "-x", script], cwd=SOURCE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
