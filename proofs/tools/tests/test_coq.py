# SPDX-License-Identifier: Apache-2.0
"""Which modules a file of proofs rests on, as Coq reads its Require commands."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from kcorec import coq  # noqa: E402

MODULES = {"lang.Lang", "machine.State", "machine.Machine", "spec.Inv", "refine.Steps"}


@pytest.mark.parametrize("text, wanted", [
    ("From kcore Require Import spec.Inv.\n", {"spec.Inv"}),
    ("From kcore Require Export machine.State machine.Machine.\nFrom Coq Require Import Lia.\n",
     {"machine.State", "machine.Machine"}),
    ("From kcore Require Import lang.Lang\n  machine.State (* the record *)\n  spec.Inv.\nOpen Scope Z_scope.\n",
     {"lang.Lang", "machine.State", "spec.Inv"}),
    ("From kcore\n  Require Import spec.Inv.", {"spec.Inv"}),
    ("From kcore Require spec.Inv. From kcore Require Import refine.Steps.\n", {"spec.Inv", "refine.Steps"}),
    ("(* From kcore Require Import\n   spec.Inv. *)\n", set()),
    ("From stdpp Require Import gmap.\nFrom kcore Require Import other.Name.\n", set()),
])
def test_dependencies(tmp_path, text, wanted):
    path = tmp_path / "A.v"
    path.write_text(text, encoding="utf-8")
    assert coq.dependencies(path, MODULES) == wanted
