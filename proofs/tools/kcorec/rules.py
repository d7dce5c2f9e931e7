# SPDX-License-Identifier: Apache-2.0
"""Rules that need more than one statement: they walk the IR."""
import os

from . import ir
from .ir import Refused

# Lowest first; a function calls its own layer and the layers below.
LAYERS = ["granule", "hostmem", "s2tt", "rtt", "measure", "launch",
          "realm", "data", "rec", "vgic", "vtimer", "psci", "rsi", "exit", "rmi"]
TABLE_WRITE, TABLE_WRITERS = "pt_write", 2
MAX_IFS = 6


def walk(block):
    """Every statement of a block, outermost first."""
    for statement in block:
        yield statement
        if isinstance(statement, ir.If):
            yield from walk(statement.then)
            yield from walk(statement.other)
        elif isinstance(statement, ir.For):
            yield from walk(statement.body)


def passes(statement):
    """Can control go on after this statement?"""
    if isinstance(statement, ir.Return):
        return False
    if isinstance(statement, ir.If):
        return falls_through(statement.then) or falls_through(statement.other)
    return True


def falls_through(block):
    return all(passes(statement) for statement in block)


def blocks_of(block):
    yield block
    for statement in block:
        if isinstance(statement, ir.If):
            yield from blocks_of(statement.then)
            yield from blocks_of(statement.other)
        elif isinstance(statement, ir.For):
            yield from blocks_of(statement.body)


def check_function(function):
    """Shape of one function: returns, dead code, number of open ifs."""
    if function.result != ir.Void() and falls_through(function.body):
        yield Refused(function.loc, "return",
                      f"{function.name} can end without a return")
    for block in blocks_of(function.body):
        for before, after in zip(block, block[1:]):
            if not passes(before):
                yield Refused(after.loc, "return", "statement never reached")
    open_ifs = [s for s in walk(function.body) if isinstance(s, ir.If)
                and falls_through(s.then) and falls_through(s.other)]
    if len(open_ifs) > MAX_IFS:
        yield Refused(open_ifs[MAX_IFS].loc, "ifs",
                      f"{function.name} has {len(open_ifs)} ifs that do not "
                      f"return (at most {MAX_IFS}): split it")


def layer_of(loc):
    stem, kind = os.path.splitext(os.path.basename(loc[0]))
    if stem in LAYERS:
        return LAYERS.index(stem)
    return -1 if kind == ".h" else None


def place(loc):
    """Order of definition inside a layer: its header, then its file."""
    return (os.path.splitext(loc[0])[1] != ".h", loc[1])


class Program:
    """All functions of core, each once, with what they call."""

    def __init__(self, units):
        self.functions, self.prototypes, self.findings = {}, {}, []
        for unit in units:
            for name, prototype in unit.prototypes.items():
                self.prototypes.setdefault(name, prototype)
            for function in unit.functions:
                self.add(function)

    def add(self, function):
        old = self.functions.setdefault(function.name, function)
        if old.loc != function.loc:
            self.findings.append(Refused(
                function.loc, "name", f"{function.name} is also defined at "
                f"{old.loc[0]}:{old.loc[1]}"))

    def check(self):
        writers = {}
        for function in self.functions.values():
            if layer_of(function.loc) is None:
                self.findings.append(Refused(
                    function.loc, "layer", "file is not in the list of layers"
                    " (" + ", ".join(LAYERS) + ")"))
            if function.complete:
                self.findings += check_function(function)
            for call in walk(function.body):
                if isinstance(call, ir.Call):
                    self.check_call(function, call)
                    if call.callee == TABLE_WRITE:
                        writers.setdefault(function.name, call)
        for name in list(writers)[TABLE_WRITERS:]:
            self.findings.append(Refused(
                writers[name].loc, "tables", f"{name} calls {TABLE_WRITE}, but"
                f" {' and '.join(list(writers)[:TABLE_WRITERS])} already do"))
        return self.findings

    def check_call(self, caller, call):
        callee = self.functions.get(call.callee)
        if callee is None:
            self.check_primitive(call)
            return
        own, other = layer_of(caller.loc), layer_of(callee.loc)
        if own is None or other is None:
            return
        if other > own:
            self.findings.append(Refused(
                call.loc, "layer", f"{LAYERS[own] if own >= 0 else 'header'} "
                f"calls up into {LAYERS[other]} ({call.callee})"))
        elif callee is caller:
            self.findings.append(Refused(
                call.loc, "order", f"{call.callee} calls itself"))
        elif other == own and place(callee.loc) >= place(caller.loc):
            self.findings.append(Refused(
                call.loc, "order", f"{call.callee} is defined after "
                f"{caller.name}"))

    def check_primitive(self, call):
        prototype = self.prototypes[call.callee]
        directory = os.path.dirname(os.path.abspath(prototype.loc[0]))
        if os.path.basename(directory) != "mach":
            self.findings.append(Refused(
                call.loc, "call", f"{call.callee} is not defined in core and "
                f"is not a primitive (declared in {prototype.loc[0]}, not in "
                "a mach/ header)"))
