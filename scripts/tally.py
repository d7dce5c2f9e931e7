#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up JUnit XML files: tally.py DIRECTORY LEVEL=STATUS...

DIRECTORY/LEVEL/*.xml are the results of a level, STATUS is the exit status of
the program that ran it. Prints a line for each level, then the tests that
failed, and last "N passed, N failed" with ", N skipped" if there are any. A
level without tests, or one that says it failed although no test of it did,
counts as a failure: nothing that was asked for may vanish.

The exit status is 0 if none failed and at least one passed."""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def outcome(case):
    """passed, failed or skipped; and the reason, one line."""
    for tag in ("failure", "error"):
        found = case.find(tag)
        if found is not None:
            text = found.get("message") or found.text or ""
            return "failed", next((line.strip() for line in text.splitlines() if line.strip()), "")
    found = case.find("skipped")
    if found is not None:
        return "skipped", found.get("message") or ""
    # meson writes no element for a test that its time ran out.
    if case.get("result") in ("TIMEOUT", "INTERRUPT"):
        return "failed", case.get("result").lower()
    return "passed", ""


def read(path):
    """(name, outcome, reason) of each test in a file."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as e:
        return [(path.name, "failed", f"its results can not be read: {e}")]
    cases = []
    for suite in root.iter("testsuite"):
        for case in suite.findall("testcase"):
            where = case.get("classname") or suite.get("name") or ""
            cases.append((f"{where}: {case.get('name')}" if where else case.get("name"), *outcome(case)))
    return cases


def level_cases(directory, status):
    """What the tests of one level came to."""
    cases = [case for path in sorted(directory.glob("*.xml")) for case in read(path)]
    if status != 0 and not any(kind == "failed" for _, kind, _ in cases):
        cases.append(("(the level as a whole)", "failed",
                      f"its runner ended with status {status}, but no test says that it failed"))
    if not any(kind in ("passed", "failed") for _, kind, _ in cases):
        cases.append(("(the level as a whole)", "failed", "no test ran"))
    return cases


def main(arguments):
    directory = pathlib.Path(arguments[0])
    total = dict.fromkeys(("passed", "failed", "skipped"), 0)
    failures = []
    skips = []
    for argument in arguments[1:]:
        level, status = argument.split("=")
        cases = level_cases(directory / level, int(status))
        count = {kind: sum(1 for _, k, _ in cases if k == kind) for kind in total}
        for kind, n in count.items():
            total[kind] += n
        failures += [(level, name, reason) for name, kind, reason in cases if kind == "failed"]
        skips += [(level, name, reason) for name, kind, reason in cases if kind == "skipped"]
        print(f"{level:8} {count['passed']} passed, {count['failed']} failed"
              + (f", {count['skipped']} skipped" if count["skipped"] else ""))
    for title, entries in (("Failed", failures), ("Skipped", skips)):
        if entries:
            print(f"\n{title}:")
            for level, name, reason in entries:
                print(f"  {level}: {name}" + (f"\n      {reason[:300]}" if reason else ""))
    print(f"\n{total['passed']} passed, {total['failed']} failed"
          + (f", {total['skipped']} skipped" if total["skipped"] else ""))
    return 0 if total["failed"] == 0 and total["passed"] > 0 else 1


if __name__ == "__main__":
    if len(sys.argv) < 3 or any("=" not in a for a in sys.argv[2:]):
        sys.exit("usage: tally.py DIRECTORY LEVEL=STATUS...")
    sys.exit(main(sys.argv[1:]))
