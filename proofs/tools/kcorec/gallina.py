# SPDX-License-Identifier: Apache-2.0
"""IR -> Gallina terms of proofs/lang/Lang.v.

Every function gets one list of slots: its parameters first, then its locals in
the order of their declarations, structs one slot a field.  Nothing is decided
here but slot numbers; what has no counterpart in the language raises Refused.
"""
from . import ir
from .ir import BOOL, U32, U64, Refused
from .rules import walk

BINARY = {"+": "Add", "-": "Sub", "*": "Mul", "&": "And", "|": "Or",
          "^": "Xor", "/": "Div", "%": "Mod", "<<": "Shl", ">>": "Shr"}
COMPARE = {"==": "Eq", "!=": "Ne", "<": "Lt", "<=": "Le", ">": "Gt",
           ">=": "Ge"}
# Accessors of fields.h: one primitive for each object, the field an argument.
FAMILIES = {"rd_get_": ("RdGet", "RD_"), "rd_set_": ("RdSet", "RD_"),
            "rec_get_": ("RecGet", "REC_"), "rec_set_": ("RecSet", "REC_"),
            "run_in_": ("RunIn", "IN_"), "run_out_": ("RunOut", "OUT_")}


def width(type_):
    if type_ in (U64, U32):
        return type_.name.upper()
    raise Refused(("<ir>", 0), "type", f"arithmetic on {type_.name}")


def nat_list(values):
    return "[" + "; ".join(str(v) for v in values) + "]%nat"


def z_list(values):
    return "[" + "; ".join(values) + "]"


class Body:
    """The term of one function."""

    def __init__(self, function, core, fields):
        self.f, self.core, self.fields = function, core, fields
        self.slots = {}
        self.next = 0
        for param in function.params:
            self.declare(param)
        self.params = self.next
        self.returns_void = function.result == ir.Void()

    def refuse(self, loc, text):
        raise Refused(loc, "gallina", text)

    def declare(self, var):
        size = len(var.type.fields) if isinstance(var.type, ir.Struct) else 1
        self.slots[var.id] = self.next
        self.next += size

    def places(self, target):
        """Slots of a variable or field; a variable seen first is declared."""
        if target is None:
            return []
        if isinstance(target, ir.Field):
            names = [name for name, _ in target.var.type.fields]
            return [self.slots[target.var.id] + names.index(target.field)]
        if target.id not in self.slots:
            self.declare(target)
        first = self.slots[target.id]
        if isinstance(target.type, ir.Struct):
            return list(range(first, first + len(target.type.fields)))
        return [first]

    # --- expressions ----------------------------------------------------

    def values(self, expr):
        """Terms of type expr, one for a scalar, one a field for a struct."""
        if isinstance(expr, ir.StructLit):
            return [self.expr(value) for value in expr.values]
        if isinstance(expr, ir.Var) and isinstance(expr.type, ir.Struct):
            return [f"EVar {slot}" for slot in self.known(expr)]
        return [self.expr(expr)]

    def known(self, var):
        base = var.var if isinstance(var, ir.Field) else var
        if base.id not in self.slots:
            self.refuse(self.f.loc, f"{base.name} is read before it is set")
        return self.places(var)

    def expr(self, e):
        if e.type == BOOL:
            return self.bool_value(e)
        if isinstance(e, ir.Const):
            if not 0 <= e.value < 1 << 64:
                self.refuse(self.f.loc, f"constant {e.value}")
            return f"EConst {e.value}"
        if isinstance(e, (ir.Var, ir.Field)):
            return f"EVar {self.known(e)[0]}"
        if isinstance(e, ir.Bin):
            return (f"EBin {width(e.type)} {BINARY[e.op]} ({self.expr(e.a)}) "
                    f"({self.expr(e.b)})")
        if isinstance(e, ir.Inv):
            return f"EInv {width(e.type)} ({self.expr(e.a)})"
        if isinstance(e, ir.Conv):
            if e.a.type == BOOL:
                return f"EBool ({self.cond(e.a)})"
            if (e.a.type, e.type) == (U64, U32):
                return f"ETrunc ({self.expr(e.a)})"
            if (e.a.type, e.type) == (U32, U64):
                return f"EWiden ({self.expr(e.a)})"
        return self.refuse(self.f.loc, f"expression {type(e).__name__}")

    def bool_value(self, e):
        if isinstance(e, (ir.Var, ir.Field)):
            return f"EVar {self.known(e)[0]}"
        if isinstance(e, ir.Const):
            return f"EConst {e.value}"
        return f"EBool ({self.cond(e)})"

    def cond(self, e):
        if isinstance(e, ir.Const):
            return "CConst " + ("true" if e.value else "false")
        if isinstance(e, (ir.Var, ir.Field)):
            return f"CVar {self.known(e)[0]}"
        if isinstance(e, ir.LNot):
            return f"CNot ({self.cond(e.a)})"
        if isinstance(e, ir.Logic):
            name = {"&&": "CAnd", "||": "COr"}[e.op]
            return f"{name} ({self.cond(e.a)}) ({self.cond(e.b)})"
        if isinstance(e, ir.Cmp) and e.a.type == BOOL:
            term = f"CSame ({self.cond(e.a)}) ({self.cond(e.b)})"
            return term if e.op == "==" else f"CNot ({term})"
        if isinstance(e, ir.Cmp):
            return (f"CCmp {COMPARE[e.op]} ({self.expr(e.a)}) "
                    f"({self.expr(e.b)})")
        return self.refuse(self.f.loc, f"condition {type(e).__name__}")

    # --- statements -----------------------------------------------------

    def block(self, statements, indent):
        if not statements:
            return "SSkip"
        pad = "\n" + "  " * indent
        first = self.statement(statements[0], indent)
        if len(statements) == 1:
            return first
        rest = self.block(statements[1:], indent)
        return f"SSeq ({first}){pad}({rest})"

    def statement(self, s, indent):
        if isinstance(s, ir.Assign):
            values = self.values(s.value)
            return f"SSet {nat_list(self.places(s.target))} {z_list(values)}"
        if isinstance(s, ir.Call):
            args = [v for a in s.args for v in self.values(a)]
            target = self.places(s.target)
            return self.call(s, nat_list(target), z_list(args))
        if isinstance(s, ir.If):
            cond = self.cond(s.cond)
            pad = "\n" + "  " * (indent + 1)
            then = self.block(s.then, indent + 1)
            other = self.block(s.other, indent + 1)
            return f"SIf ({cond}){pad}({then}){pad}({other})"
        if isinstance(s, ir.For):
            var = self.places(s.var)[0]
            body = self.block(s.body, indent + 1)
            pad = "\n" + "  " * (indent + 1)
            count = max(0, s.bound - s.first)
            return f"SFor {var} {s.first} {count}{pad}({body})"
        if isinstance(s, ir.Return):
            values = [] if s.value is None else self.values(s.value)
            return f"SRet {z_list(values)}"
        return self.refuse(self.f.loc, f"statement {type(s).__name__}")

    def call(self, s, target, args):
        if s.callee in self.core:
            return f'SCall {target} "{s.callee}" {args}'
        return f"SPrim {target} {primitive(s.callee, self.fields)} {args}"

    def term(self):
        body = self.block(self.f.body, 1)
        ends = "" if not self.returns_void else " (* void *)"
        return (f"Definition f_{self.f.name} : fundef := "
                f"mkfun {self.params} {self.next}{ends}\n ({body}).\n")


def primitive(name, fields):
    """The Coq term of a primitive: P_name, or of a family of accessors."""
    for prefix, (family, prefix_field) in FAMILIES.items():
        field = prefix_field + name.removeprefix(prefix)
        if name.startswith(prefix) and field in fields:
            return f"(P_{family} {field})"
    return f"P_{name}"


def order(functions):
    """Callees before callers."""
    done, out = set(), []

    def visit(function):
        if function.name in done:
            return
        done.add(function.name)
        for s in walk(function.body):
            if isinstance(s, ir.Call) and s.callee in functions:
                visit(functions[s.callee])
        out.append(function)

    for function in functions.values():
        visit(function)
    return out


def program_text(program, fields):
    """proofs: Core.v."""
    functions = order(program.functions)
    out = ["(* Made from hyp/core by proofs/tools/translate. *)\n"
           "From Coq Require Import ZArith List String.\nImport ListNotations.\n"
           "From kcore Require Import lang.Lang gen.Prims.\n"
           "Local Open Scope Z_scope.\nLocal Open Scope string_scope.\n\n"
           "Notation fundef := (Lang.fundef prim).\n\n"]
    for f in functions:
        out.append(f"(* {f.loc[0]}:{f.loc[1]} *)\n")
        out.append(Body(f, program.functions, fields).term() + "\n")
    out.append("Definition program : list (string * fundef) := [\n  ")
    out.append(";\n  ".join(f'("{f.name}", f_{f.name})' for f in functions))
    out.append("\n].\n")
    return "".join(out)


def prims_text(names, objects):
    """proofs: Prims.v, the primitives of mach.h and the fields of fields.h.

    objects: {"RD": [(name, offset in words, count, is_array)], ...}
    """
    fields = {f"{o}_{n}" for o, entries in objects.items()
              for n, _, _, _ in entries}
    plain = [n for n in names if primitive(n, fields) == f"P_{n}"]
    out = ["(* Made from hyp/mach/mach.h and fields.h by proofs/tools/translate. *)\n"
           "From Coq Require Import ZArith.\nLocal Open Scope Z_scope.\n\n"]
    for obj, entries in objects.items():
        low = obj.lower()
        out.append(f"Inductive {low}_field :=\n")
        out += [f"| {obj}_{n}\n" for n, _, _, _ in entries]
        out.append(".\n\n(* First word, and number of words. *)\n")
        for what, index in (("off", 1), ("len", 2)):
            out.append(f"Definition {low}_{what} (f : {low}_field) : Z :=\n"
                       "  match f with\n")
            out += [f"  | {obj}_{e[0]} => {e[index]}\n" for e in entries]
            out.append("  end.\n\n")
        out.append(f"Definition {low}_array (f : {low}_field) : bool :=\n"
                   "  match f with\n")
        out += [f"  | {obj}_{e[0]} => {'true' if e[3] else 'false'}\n"
                for e in entries]
        out.append("  end.\n\n")
    out.append("Inductive prim :=\n")
    out += [f"| P_{n}\n" for n in plain]
    out.append("| P_RdGet (f : rd_field)\n| P_RdSet (f : rd_field)\n"
               "| P_RecGet (f : rec_field)\n| P_RecSet (f : rec_field)\n"
               "| P_RunIn (f : in_field)\n| P_RunOut (f : out_field)\n.\n")
    return "".join(out)


def names_text(names, objects):
    """proofs/diff: OCaml, from a primitive of the extracted Prims.v to its name in mach.h."""
    fields = {f"{o}_{n}" for o, entries in objects.items()
              for n, _, _, _ in entries}
    out = ["(* Made from hyp/mach/mach.h and fields.h by proofs/tools/translate. *)\nopen Model\n\n"]
    for obj, entries in objects.items():
        out.append(f"let {obj.lower()}_name = function\n")
        out += [f'  | {obj}_{n} -> "{n}"\n' for n, _, _, _ in entries]
    out.append("\nlet prim_name = function\n")
    out += [f'  | P_{n} -> "{n}"\n' for n in names if primitive(n, fields) == f"P_{n}"]
    out += [f'  | P_{family} f -> "{prefix}" ^ {obj[:-1].lower()}_name f\n'
            for prefix, (family, obj) in FAMILIES.items()]
    return "".join(out)
