# SPDX-License-Identifier: Apache-2.0
"""The tables of README.md (claims.py) are complete and say what the tests do."""

import attacks
import claims

TRIED = [test for tests in claims.TRIED.values() for test in tests.split()]


def test_each_attack_is_in_the_table_once():
    known = [a.name for a in attacks.ATTACKS] + [f"vmm:{name}" for name in attacks.VMM_ATTEMPTS]
    assert sorted(TRIED) == sorted(known)


def test_each_attack_has_a_weakened_core_that_lets_it_through():
    patches = {path.stem for path in (claims.HERE / "weak").glob("*.patch")}
    assert {claims.weakness(test) for test in TRIED} == patches


def test_tests_of_bad_input_exist():
    named = set(" ".join(claims.BAD_INPUT.values()).split())
    assert named <= claims.defined(), named - claims.defined()


def test_readme_is_current():
    is_, should = claims.readme()
    assert is_ == should, "run tests/attack/claims.py --write"
