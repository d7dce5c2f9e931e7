# SPDX-License-Identifier: Apache-2.0
"""What is read from a file of proofs: the modules it rests on, as Coq reads its Require commands; the layer it is about;
its theorems."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from kcorec import coq, rules  # noqa: E402

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


SPDX = "(* SPDX-License-Identifier: Apache-2.0 *)\n"


@pytest.mark.parametrize("text, layer", [
    (SPDX + "(* hyp/core/rtt.c: RMI_RTT_FOLD. *)\n", "rtt"),
    (SPDX + "(* hyp/core/table.h: entries. *)\n", "table"),
    (SPDX + "(* hyp/core/rec.c: creating RECs\n   (DEN0137 B4.3). *)\nFrom kcore Require Import spec.Inv.\n", "rec"),
    ("(* hyp/core/exit.c *)\n", "exit"),
    (SPDX + "(* The invariant after changes of a REC. *)\n", None),
    (SPDX + "(* What hyp/core/rtt.c and hyp/core/data.c have in common. *)\n", None),
    (SPDX + "From kcore Require Import spec.Inv.\n(* hyp/core/rtt.c: too late. *)\n", None),
])
def test_about(tmp_path, text, layer):
    path = tmp_path / "RecInv.v"
    path.write_text(text, encoding="utf-8")
    assert coq.about(path) == layer


def test_about_nothing(tmp_path):
    path = tmp_path / "A.v"
    path.write_text(SPDX + "(* hyp/core/nothing.c: a file that is not there. *)\n", encoding="utf-8")
    with pytest.raises(coq.Failed, match="there is no hyp/core/nothing.c"):
        coq.about(path)


def test_about_tree():
    """Each layer has a specification and proofs; the proofs of a command are not all shared."""
    layers = {part: {coq.about(path) for path in (coq.PROOFS / part).glob("*.v")} for part in ("spec", "refine")}
    every = set(rules.LAYERS) | {"table"}
    assert every <= layers["spec"] and every <= layers["refine"]
    assert coq.about(coq.PROOFS / "refine" / "RttFold.v") == "rtt"
    assert coq.about(coq.PROOFS / "refine" / "RecCreateRefine.v") == "rec"
    assert coq.about(coq.PROOFS / "refine" / "Tactics.v") is None


def test_theorems(tmp_path):
    path = tmp_path / "A.v"
    path.write_text(SPDX + "Theorem granule_scrub_ok pa : True.\nSection s.\n  Theorem rtt_free_start_ok :\n    True.\nEnd s.\n"
                    "Theorem delegate_inv : True.\nLemma rec_fill_ok : True.\n(* Theorem data_create_ok : True. *)\n", encoding="utf-8")
    assert coq.theorems(path) == {"granule_scrub", "rtt_free_start"}
