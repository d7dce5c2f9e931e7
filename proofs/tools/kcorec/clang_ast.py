# SPDX-License-Identifier: Apache-2.0
"""Run clang and resolve the delta-coded source locations of its JSON AST."""
import json
import os
import subprocess
import sys

# Flags that make clang write something; the rest is passed on untouched.
DROPPED = {"-c", "-S", "-E", "-MD", "-MMD", "-MP", "-M", "-MM"}
DROPPED_WITH_VALUE = {"-o", "-MF", "-MQ", "-MT"}


class ClangFailed(Exception):
    pass


def usable_flags(flags):
    kept, skip = [], False
    for flag in flags:
        if skip:
            skip = False
        elif flag in DROPPED_WITH_VALUE:
            skip = True
        elif flag not in DROPPED:
            kept.append(flag)
    return kept


def load(path, flags, clang="clang"):
    """The AST of one translation unit, each node with '_loc' = (file, line)."""
    command = [clang, *usable_flags(flags), "-Xclang", "-ast-dump=json",
               "-fsyntax-only", path]
    run = subprocess.run(command, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, check=False)
    if run.returncode != 0:
        raise ClangFailed(run.stderr.decode(errors="replace"))
    sys.setrecursionlimit(20000)
    tree = json.loads(run.stdout)
    _Locations().visit(tree)
    return tree


class _Locations:
    """clang prints `file` and `line` only where they differ from the location
    printed just before, so they have to be followed in document order."""

    def __init__(self):
        self.file, self.line = "<none>", 0

    def bare(self, loc):
        if "offset" not in loc:
            return None
        self.file = loc.get("file", self.file)
        self.line = loc.get("line", self.line)
        return (os.path.normpath(self.file), self.line)

    def location(self, loc):
        """The place in the file as the reader sees it (macro use, not body)."""
        if "spellingLoc" in loc or "expansionLoc" in loc:
            places = {key: self.bare(loc[key]) for key in loc
                      if key in ("spellingLoc", "expansionLoc")}
            return places.get("expansionLoc")
        return self.bare(loc)

    def visit(self, node):
        own = None
        for key, value in node.items():
            if key == "loc":
                own = self.location(value)
            elif key == "range":
                begin = self.location(value.get("begin", {}))
                self.location(value.get("end", {}))
                own = own or begin
            elif isinstance(value, dict):
                self.visit(value)
            elif isinstance(value, list):
                for item in value:
                    if isinstance(item, dict):
                        self.visit(item)
        if "kind" in node:
            node["_loc"] = own
