# SPDX-License-Identifier: Apache-2.0
"""check-core accepts what the rules allow and refuses the rest, by name.

accepted/NAME.c (or NAME/*.c, several files) must pass.  In refused/ each line
that must be refused says why: `// [rule]`; nothing else may be refused.
"""
import pathlib
import re
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
CHECK = HERE.parent / "check-core"
CLANG = shutil.which("clang") or pytest.fail("clang is missing")


def cases(kind):
    found = sorted((HERE / kind).iterdir())
    assert found
    return [pytest.param(p, id=p.stem) for p in found]


def run(case, tmp_path, *flags):
    core = tmp_path / "core"
    core.mkdir()
    shutil.copytree(HERE / "mach", core / "mach")
    if case.is_dir():
        files = [shutil.copy(p, core) for p in sorted(case.glob("*.c"))]
    else:
        files = [shutil.copy(case, core / "granule.c")]
    done = subprocess.run([CHECK, *files, "--", "-std=gnu17", "-w", *flags],
                          capture_output=True, text=True, check=False)
    expected = set()
    for path in files:
        lines = pathlib.Path(path).read_text().splitlines()
        for number, line in enumerate(lines, 1):
            for rule in re.findall(r"// \[(\w+)\]", line):
                expected.add((str(path), number, rule))
    got = {(f, int(n), r) for f, n, r in
           re.findall(r"^(.*?):(\d+): \[(\w+)\]", done.stderr, re.M)}
    return done, expected, got


@pytest.mark.parametrize("case", cases("accepted"))
def test_accepted(case, tmp_path):
    done, expected, got = run(case, tmp_path)
    assert not expected and not got, done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", cases("accepted"))
def test_accepted_for_the_target(case, tmp_path):
    done, _, got = run(case, tmp_path, "--target=aarch64-none-elf",
                       "-ffreestanding", "-mgeneral-regs-only")
    assert done.returncode == 0 and not got, done.stderr


@pytest.mark.parametrize("case", cases("refused"))
def test_refused(case, tmp_path):
    done, expected, got = run(case, tmp_path)
    assert expected, "the case names no refused line"
    assert got == expected, done.stderr
    assert done.returncode == 1


def test_compile_error_is_not_a_pass(tmp_path):
    bad = tmp_path / "granule.c"
    bad.write_text("uint64_t f(\n")
    done = subprocess.run([CHECK, bad, "--"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and "does not compile" in done.stderr


def test_header_of_core_is_checked(tmp_path):
    (tmp_path / "granule.h").write_text(
        "static inline unsigned f(unsigned x)\n{\n\treturn x;\n}\n")
    (tmp_path / "granule.c").write_text('#include "granule.h"\n')
    done = subprocess.run([CHECK, tmp_path / "granule.c", "--"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "granule.h:1: [type]" in done.stderr


def test_stamp_only_when_clean(tmp_path):
    stamp = tmp_path / "stamp"
    good, bad = HERE / "accepted" / "if_chain.c", HERE / "refused" / "goto_.c"
    for case, code in ((bad, 1), (good, 0)):
        target = tmp_path / "granule.c"
        shutil.copy(case, target)
        done = subprocess.run([CHECK, "--stamp", stamp, target, "--", "-w",
                               f"-I{HERE}"], check=False, capture_output=True)
        assert done.returncode == code
        assert stamp.exists() == (code == 0)
