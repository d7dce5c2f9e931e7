# SPDX-License-Identifier: Apache-2.0
"""translate gives every accepted construct its term, and refuses the rest.

What the terms mean is the business of proofs/lang; here is that each construct
becomes the term it should, and that nothing refused is written.
"""
import pathlib
import re
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
TRANSLATE = HERE.parent / "translate"


def cases(kind):
    found = sorted((HERE / kind).iterdir())
    assert found
    return [pytest.param(p, id=p.stem) for p in found]


def translate(tmp_path, files, *flags):
    core = tmp_path / "core"
    core.mkdir()
    shutil.copytree(HERE / "mach", core / "mach")
    paths = []
    for name, text in files.items():
        (core / name).write_text(text)
        paths.append(core / name)
    out = tmp_path / "out"
    done = subprocess.run([TRANSLATE, "--out", out, *paths, "--", "-std=gnu17", "-w", f"-I{core / 'mach'}", *flags],
                          capture_output=True, text=True, check=False)
    return done, out


def texts(case):
    paths = sorted(case.glob("*.c")) if case.is_dir() else [case]
    return {(p.name if case.is_dir() else "granule.c"): p.read_text() for p in paths}


def term(tmp_path, body, head="uint64_t f(uint64_t x, uint64_t y)"):
    """The term of a function, on one line."""
    done, out = translate(tmp_path, {"granule.c": f'#include "mach/mach.h"\n{head}\n{{\n{body}\n}}\n'})
    assert done.returncode == 0, done.stderr
    found = re.search(r"Definition f_f : fundef := (.*?)\.\n\n", (out / "Core.v").read_text(), re.S)
    return " ".join(found.group(1).split())


@pytest.mark.parametrize("case", cases("accepted"))
def test_accepted(case, tmp_path):
    done, out = translate(tmp_path, texts(case), "--target=aarch64-none-elf", "-ffreestanding")
    assert done.returncode == 0, done.stderr
    core = (out / "Core.v").read_text()
    assert "Definition program" in core and core.count("Definition f_") >= 1


# The same front half refuses for check-core, which has a test for each construct.
@pytest.mark.parametrize("name", ["goto_.c", "pointer_param.c", "callee_after_caller.c", "layers_up"])
def test_refused(name, tmp_path):
    done, out = translate(tmp_path, texts(HERE / "refused" / name))
    assert done.returncode == 1
    assert re.search(r"\.[ch]:\d+: \[\w+\]", done.stderr)
    assert not (out / "Core.v").exists()


@pytest.mark.parametrize("body, expected", [
    ("return x + y;", "mkfun 2 2 (SRet [EBin U64 Add (EVar 0) (EVar 1)])"),
    ("return x - 1;", "mkfun 2 2 (SRet [EBin U64 Sub (EVar 0) (EConst 1)])"),
    ("return x & ~0xFFFUL;", "mkfun 2 2 (SRet [EBin U64 And (EVar 0) (EConst 18446744073709547520)])"),
    ("return ~x;", "mkfun 2 2 (SRet [EInv U64 (EVar 0)])"),
    ("return x << 12 >> 3;", "mkfun 2 2 (SRet [EBin U64 Shr (EBin U64 Shl (EVar 0) (EConst 12)) (EConst 3)])"),
    ("return x / 8 % 4;", "mkfun 2 2 (SRet [EBin U64 Mod (EBin U64 Div (EVar 0) (EConst 8)) (EConst 4)])"),
    ("return (uint64_t)(uint32_t)x;", "mkfun 2 2 (SRet [EWiden (ETrunc (EVar 0))])"),
    ("return (uint64_t)(x >= y);", "mkfun 2 2 (SRet [EBool (CCmp Ge (EVar 0) (EVar 1))])"),
    ("uint64_t z = x; z += y; return z;",
     "mkfun 2 3 (SSeq (SSet [2]%nat [EVar 0]) (SSeq (SSet [2]%nat [EBin U64 Add (EVar 2) (EVar 1)]) (SRet [EVar 2])))"),
    ("if (x == 0 || y != 1) { return 1; } return 2;",
     "mkfun 2 2 (SSeq (SIf (COr (CCmp Eq (EVar 0) (EConst 0)) (CCmp Ne (EVar 1) (EConst 1))) "
     "(SRet [EConst 1]) (SSkip)) (SRet [EConst 2]))"),
    ("bool b = x < y; bool c = (bool)x; if (b == c && !b) { return 1; } return 0;",
     "mkfun 2 4 (SSeq (SSet [2]%nat [EBool (CCmp Lt (EVar 0) (EVar 1))]) "
     "(SSeq (SSet [3]%nat [EBool (CCmp Ne (EVar 0) (EConst 0))]) "
     "(SSeq (SIf (CAnd (CSame (CVar 2) (CVar 3)) (CNot (CVar 2))) (SRet [EConst 1]) (SSkip)) (SRet [EConst 0]))))"),
    ("uint64_t v = gr_read(x); gr_write(v, y); return v;",
     "mkfun 2 3 (SSeq (SPrim [2]%nat P_gr_read [EVar 0]) (SSeq (SPrim []%nat P_gr_write [EVar 2; EVar 1]) "
     "(SRet [EVar 2])))"),
    ("for (uint64_t i = 2; i < 8; i++) { uint64_t t = i; gr_write(t, x); } return y;",
     "mkfun 2 4 (SSeq (SFor 2 2 6 (SSeq (SSet [3]%nat [EVar 2]) (SPrim []%nat P_gr_write [EVar 3; EVar 0]))) "
     "(SRet [EVar 1]))"),
    ("for (uint64_t i = 3; i < 3; i++) { x = y; } return x;",
     "mkfun 2 3 (SSeq (SFor 2 3 0 (SSet [0]%nat [EVar 1])) (SRet [EVar 0]))"),
])
def test_term(body, expected, tmp_path):
    assert term(tmp_path, body) == expected


def test_call_of_core_and_struct(tmp_path):
    head = ("struct pair { uint64_t a; bool b; };\n"
            "static struct pair g(struct pair p, uint64_t k) { return (struct pair){ k, p.b }; }\n"
            "uint64_t f(uint64_t x, uint64_t y)")
    assert term(tmp_path, "struct pair w = { y, true }; w = g(w, x); w.b = false; return w.a;", head) == (
        "mkfun 2 4 (SSeq (SSet [2; 3]%nat [EVar 1; EConst 1]) "
        '(SSeq (SCall [2; 3]%nat "g" [EVar 2; EVar 3; EVar 0]) '
        "(SSeq (SSet [3]%nat [EConst 0]) (SRet [EVar 2]))))")


def test_struct_assigned_at_once(tmp_path):
    head = "struct pair { uint64_t a; uint64_t b; };\nuint64_t f(uint64_t x, uint64_t y)"
    assert "SSet [2; 3]%nat [EVar 3; EVar 2]" in term(
        tmp_path, "struct pair w = { x, y }; w = (struct pair){ w.b, w.a }; return w.a;", head)


def test_callees_first(tmp_path):
    done, out = translate(tmp_path, {
        "granule.c": '#include "mach/mach.h"\nuint64_t low(uint64_t x) { return x; }\n',
        "rtt.c": '#include "mach/mach.h"\nuint64_t low(uint64_t x);\n'
                 "uint64_t high(uint64_t x) { uint64_t y = low(x); return y; }\n"})
    assert done.returncode == 0, done.stderr
    core = (out / "Core.v").read_text()
    assert core.index('("low", f_low)') < core.index('("high", f_high)')


def test_fields(tmp_path):
    done, out = translate(tmp_path, {"granule.c": '#include "mach/mach.h"\nuint64_t f(uint64_t x) { return x; }\n'})
    assert done.returncode == 0, done.stderr
    prims = (out / "Prims.v").read_text()
    offsets = re.search(r"Definition rd_off.*?end\.", prims, re.S).group(0)
    assert re.findall(r"RD_(\w+) => (\d+)", offsets) == [("state", "0"), ("meas", "1"), ("last", "5")]
    exit_ = re.search(r"Definition out_off.*?end\.", prims, re.S).group(0)
    assert re.findall(r"OUT_(\w+) => (\d+)", exit_) == [("reason", "256"), ("gpr", "320")]
    assert "| P_gr_read" in prims and "mach_pointer" not in prims


def test_compile_error(tmp_path):
    done, out = translate(tmp_path, {"granule.c": "uint64_t f(\n"})
    assert done.returncode == 2 and not out.exists()
