# SPDX-License-Identifier: Apache-2.0
"""clang AST -> IR.  Every node kind, cast kind and operator that is accepted
is named here; anything else is refused with its file and line."""
import os

from . import ir
from .ir import BOOL, INT, LONG, U32, U64, VALUE_TYPES, Refused

SPELLINGS = {"uint64_t", "uint32_t", "bool", "_Bool"}
CANONICAL = {"unsigned long": U64, "unsigned long long": U64,
             "unsigned int": U32, "_Bool": BOOL, "bool": BOOL,
             "int": INT, "long": LONG, "long long": LONG}
ARITHMETIC = {"+", "-", "*", "&", "|", "^"}
BY_CONSTANT = {"/", "%", "<<", ">>"}
COMPARE = {"==", "!=", "<", "<=", ">", ">="}
FUNCTION_ATTRIBUTES = {"WarnUnusedResultAttr", "UnusedAttr", "FullComment"}

WHY_NOT = {  # refused kinds that deserve more than their name
    "WhileStmt": "while loop", "DoStmt": "do loop", "SwitchStmt": "switch",
    "GotoStmt": "goto", "LabelStmt": "label", "BreakStmt": "break",
    "ContinueStmt": "continue", "ConditionalOperator": "?: operator",
    "ArraySubscriptExpr": "array access", "StringLiteral": "string",
    "FloatingLiteral": "floating point", "CharacterLiteral": "char constant",
    "GCCAsmStmt": "inline assembly", "StmtExpr": "statement expression",
    "UnaryExprOrTypeTraitExpr": "sizeof", "NullStmt": "empty statement",
    "CompoundAssignOperator": "assignment inside an expression",
    "CallExpr": "a call stands alone: x = f(a, b); or f(a, b);",
}


def loc_of(node):
    return node.get("_loc") or ("<unknown>", 0)


def refuse(node, rule, text):
    raise Refused(loc_of(node), rule, text)


def unknown(node, where):
    kind = node.get("kind", "(no kind)")
    refuse(node, "ast", f"{WHY_NOT.get(kind, kind)}: not allowed {where}")


def children(node):
    return [c for c in node.get("inner", []) if c.get("kind") != "FullComment"]


def only(node):
    inner = children(node)
    if len(inner) != 1:
        refuse(node, "ast", f"{node['kind']} with {len(inner)} operands")
    return inner[0]


def strip(node):
    """Parentheses and the wrapper clang puts around constants."""
    while node.get("kind") in ("ParenExpr", "ConstantExpr"):
        node = only(node)
    return node


class UnitParser:
    def __init__(self, tree, path, core_dir, findings):
        self.tree = tree
        self.path = os.path.normpath(path)
        self.core_dir = os.path.abspath(core_dir)
        self.findings = findings
        self.typedefs, self.structs, self.enums = {}, {}, {}
        self.unit = ir.Unit(self.path, [], {})

    # --- declarations -------------------------------------------------------

    def in_core(self, loc):
        directory = os.path.dirname(os.path.abspath(loc[0]))
        return directory == self.core_dir

    def parse(self):
        for node in self.tree.get("inner", []):
            try:
                self.declaration(node)
            except Refused as error:
                self.findings.append(error)
        return self.unit

    def declaration(self, node):
        kind = node.get("kind")
        core = node.get("_loc") is not None and self.in_core(node["_loc"])
        if kind == "TypedefDecl":
            self.typedefs[node["name"]] = node["type"]
            tag = tag_id(node)
            if tag in self.structs:  # typedef struct { .. } name;
                self.structs[node["name"]] = self.structs[tag]
            if core:
                self.type_of(node["type"], node)
        elif kind == "RecordDecl":
            self.record(node, core)
        elif kind == "EnumDecl":
            self.enumeration(node, core)
        elif kind == "FunctionDecl":
            self.function(node, core)
        elif kind in ("StaticAssertDecl", "EmptyDecl"):
            pass
        elif core:
            if kind == "VarDecl":
                refuse(node, "global", f"global variable {node.get('name')}")
            unknown(node, "at file level")

    def record(self, node, core):
        if not node.get("completeDefinition"):
            return
        fields, bad = [], None
        for member in children(node):
            if member["kind"].endswith("Attr"):
                bad = bad or (member, "type", "attribute on a struct")
            elif member["kind"] != "FieldDecl" or "name" not in member:
                bad = bad or (member, "type", f"{member['kind']} in a struct")
            elif member.get("isBitfield"):
                bad = bad or (member, "type", f"bit-field {member['name']}")
            else:
                try:
                    type_ = self.type_of(member["type"], member)
                    if type_ not in VALUE_TYPES:
                        refuse(member, "type", "struct inside a struct")
                    fields.append((member["name"], type_))
                except Refused as error:
                    bad = bad or (member, error.rule, error.text)
        if node.get("tagUsed") != "struct":
            bad = (node, "type", f"{node.get('tagUsed')}s are not allowed")
        if bad is None:
            struct = ir.Struct(node.get("name", "<anonymous>"), tuple(fields))
            self.structs[node.get("name", node["id"])] = struct
        elif core:  # elsewhere a bad struct matters only when core uses it
            refuse(*bad)

    def enumeration(self, node, core):
        following = 0
        for constant in children(node):
            if constant["kind"] != "EnumConstantDecl":
                if core:
                    unknown(constant, "in an enum")
                continue
            value = self.enum_value(constant)
            value = following if value is None else value
            self.enums[constant["id"]] = value
            following = value + 1

    @staticmethod
    def enum_value(constant):
        inner = children(constant)
        while inner:
            node = inner[0]
            if "value" in node and node["kind"] in ("ConstantExpr",
                                                    "IntegerLiteral"):
                return int(node["value"])
            inner = children(node)
        return None

    # --- types --------------------------------------------------------------

    def type_of(self, type_, node, spelling=True):
        """A type that a variable, field, parameter or result may have."""
        text = type_["qualType"].strip()
        words = text.split()
        if "volatile" in words or "_Atomic" in text:
            refuse(node, "type", f"qualified type '{text}'")
        text = " ".join(w for w in words if w != "const")
        if text == "void":
            return ir.Void()
        if text.startswith("struct ") or text in self.structs:
            name = text.removeprefix("struct ")
            if name in self.structs:
                return self.structs[name]
        if spelling and text in CANONICAL and text not in SPELLINGS:
            refuse(node, "type", f"type '{text}' (only uint64_t, uint32_t, "
                                 "bool and structs of them)")
        if text in CANONICAL and CANONICAL[text] in VALUE_TYPES:
            return CANONICAL[text]
        if text in self.typedefs:
            target = self.typedefs[text]
            return self.type_of(target, node,
                                spelling and text not in SPELLINGS)
        refuse(node, "type", f"type '{text}' (only uint64_t, uint32_t, bool "
                             "and structs of them)")

    def canonical(self, node):
        """The type of an expression, signed ones included."""
        type_ = node["type"]
        text = type_.get("desugaredQualType", type_["qualType"])
        text = " ".join(w for w in text.split() if w != "const")
        if text in CANONICAL:
            return CANONICAL[text]
        if text.startswith("enum "):  # an enum constant under C23
            return U32
        return self.type_of(type_, node, spelling=False)

    # --- functions ----------------------------------------------------------

    def function(self, node, core):
        if node.get("isImplicit"):
            return  # a compiler builtin: has no prototype, so no caller
        name, inner = node["name"], children(node)
        has_body = any(c["kind"] == "CompoundStmt" for c in inner)
        try:
            prototype = self.prototype(node, inner)
        except Refused:
            if core:
                raise
            return  # not usable from core: a call finds no prototype
        old = self.unit.prototypes.get(name)
        if old is None or (has_body and core):
            self.unit.prototypes[name] = prototype
        if not core:
            if has_body:  # a primitive is a declaration, never inline code
                self.unit.prototypes.pop(name, None)
            return
        for child in inner:
            if child["kind"] not in ("ParmVarDecl", "CompoundStmt",
                                     *FUNCTION_ATTRIBUTES):
                unknown(child, "on a function")
        if has_body:
            body = FunctionParser(self, node, prototype)
            self.unit.functions.append(body.parse())

    def prototype(self, node, inner):
        text = node["type"]["qualType"]
        if node.get("variadic"):
            refuse(node, "type", f"variadic function {node['name']}")
        if node.get("storageClass") not in (None, "static", "extern"):
            refuse(node, "type", f"storage class {node['storageClass']}")
        if "__attribute__" in text:
            refuse(node, "ast", f"attribute on {node['name']}")
        if text.count("(") != 1:
            refuse(node, "type", f"pointer in the type of {node['name']}")
        result = self.type_of({"qualType": text.split("(")[0]}, node)
        params = []
        for param in inner:
            if param["kind"] == "ParmVarDecl":
                type_ = self.type_of(param["type"], param)
                params.append(type_)
        return ir.Prototype(loc_of(node), node["name"], result, params)


class FunctionParser:
    def __init__(self, unit, node, prototype):
        self.u, self.node, self.prototype = unit, node, prototype
        self.vars = {}        # clang id -> Var
        self.loop_vars = []   # ids of the loop variables around us
        self.clean = True

    def parse(self):
        params, body = [], []
        for child in children(self.node):
            if child["kind"] == "ParmVarDecl":
                type_ = self.u.type_of(child["type"], child)
                name = child.get("name")
                if name is None:
                    refuse(child, "type", "parameter without a name")
                params.append(self.declare(child, type_))
            elif child["kind"] == "CompoundStmt":
                body = self.block(child)
        return ir.Function(loc_of(self.node), self.node["name"],
                           self.prototype.result, params, body,
                           self.node.get("storageClass") == "static",
                           self.clean)

    def declare(self, node, type_):
        var = ir.Var(type_, node["name"], node["id"])
        self.vars[node["id"]] = var
        return var

    # --- statements ---------------------------------------------------------

    def block(self, node):
        """A compound statement, or the single statement of an if or for."""
        parts = children(node) if node["kind"] == "CompoundStmt" else [node]
        out = []
        for part in parts:
            try:
                out += self.statement(part)
            except Refused as error:
                self.clean = False
                self.u.findings.append(error)
        return out

    def statement(self, node):
        handler = {
            "CompoundStmt": self.block, "DeclStmt": self.locals,
            "IfStmt": self.if_, "ForStmt": self.for_,
            "ReturnStmt": self.return_, "BinaryOperator": self.assign,
            "CompoundAssignOperator": self.op_assign,
            "CallExpr": lambda n: [self.call(n, None)],
            "CStyleCastExpr": self.discard,
        }.get(node.get("kind"))
        if handler is None:
            if node.get("kind") == "UnaryOperator":
                refuse(node, "ast", f"'{node['opcode']}' as a statement")
            unknown(node, "as a statement")
        return handler(node)

    def locals(self, node):
        out = []
        for decl in children(node):
            if decl["kind"] == "StaticAssertDecl":
                continue
            if decl["kind"] != "VarDecl":
                unknown(decl, "in a function")
            name = decl["name"]
            if "storageClass" in decl:
                refuse(decl, "global", f"{decl['storageClass']} local {name}")
            for part in children(decl):
                if part["kind"].endswith("Attr"):
                    refuse(decl, "ast", f"attribute on local {name}")
            type_ = self.u.type_of(decl["type"], decl)
            if "init" not in decl:
                self.declare(decl, type_)  # so that its uses are not reported
                refuse(decl, "init", f"local {name} is not initialised")
            init = only(decl)
            var = self.declare(decl, type_)
            out.append(self.store(decl, var, init))
        return out

    def store(self, node, target, value):
        """target = value; where value may be a call."""
        value = strip(value)
        if value["kind"] == "CallExpr":
            return self.call(value, target)
        if (value["kind"] == "ImplicitCastExpr"
                and strip(only(value))["kind"] == "CallExpr"):
            refuse(node, "cast", "the result of a call is converted: assign "
                                 "it as it is, then cast")
        return ir.Assign(loc_of(node), target,
                         self.typed(value, target.type))

    def assign(self, node):
        if node["opcode"] == ",":
            refuse(node, "ast", "comma operator")
        if node["opcode"] != "=":
            refuse(node, "ast", "an expression as a statement")
        left, right = children(node)
        return [self.store(node, self.place(left), right)]

    def op_assign(self, node):
        left, right = children(node)
        target = self.place(left)
        for key in ("computeLHSType", "computeResultType"):
            if self.u.canonical({"type": node[key]}) != target.type:
                refuse(node, "cast", "implicit conversion in "
                                     f"'{node['opcode']}'")
        value = self.binary(node, node["opcode"].removesuffix("="), target,
                            self.expr(right))
        return [ir.Assign(loc_of(node), target, value)]

    def place(self, node):
        node = strip(node)
        if node["kind"] == "DeclRefExpr":
            target = self.variable(node)
        elif node["kind"] == "MemberExpr":
            target = self.field(node)
        else:
            unknown(node, "on the left of an assignment")
        var = target.var if isinstance(target, ir.Field) else target
        if var.id in self.loop_vars:
            refuse(node, "loop", f"loop variable {var.name} is assigned")
        return target

    def discard(self, node):
        """(void)f(x); and (void)unused;"""
        if node.get("castKind") != "ToVoid":
            unknown(node, "as a statement")
        value = strip(only(node))
        if value["kind"] == "CallExpr":
            return [self.call(value, None)]
        self.expr(value)
        return []

    def call(self, node, target):
        callee, *args = children(node)
        if callee.get("castKind") != "FunctionToPointerDecay":
            refuse(node, "call", "call through a function pointer or of a "
                                 "compiler builtin")
        ref = strip(only(callee))
        decl = ref.get("referencedDecl", {})
        if ref["kind"] != "DeclRefExpr" or decl.get("kind") != "FunctionDecl":
            refuse(node, "call", "call through a function pointer")
        name = decl["name"]
        prototype = self.u.unit.prototypes.get(name)
        if prototype is None:
            refuse(node, "call", f"{name} is neither a function of core nor a "
                                 "primitive declared with plain values")
        if len(args) != len(prototype.params):
            refuse(node, "call", f"{name} with {len(args)} arguments")
        values = [self.typed(a, t) for a, t in zip(args, prototype.params)]
        if target is not None and prototype.result != target.type:
            refuse(node, "cast", f"result of {name} is "
                   f"{prototype.result.name}, assigned to {target.type.name}")
        return ir.Call(loc_of(node), target, name, values)

    def if_(self, node):
        if node.get("hasInit") or node.get("hasVar"):
            refuse(node, "ast", "declaration in an if")
        inner = children(node)
        cond = self.condition(inner[0])
        other = self.block(inner[2]) if len(inner) > 2 else []
        then = self.block(inner[1])
        return [ir.If(loc_of(node), cond, then, other)]

    def for_(self, node):
        shape = "loop shape is for (uint64_t i = C; i < C; i++)"
        inner = node.get("inner", [])
        if len(inner) != 5 or inner[1].get("kind"):
            refuse(node, "loop", shape)
        start, _, test, step, body = inner
        if start.get("kind") != "DeclStmt" or len(children(start)) != 1:
            refuse(node, "loop", shape)
        first = self.locals(start)[0]
        var = first.target
        if not isinstance(first, ir.Assign) or var.type not in (U64, U32):
            refuse(node, "loop", shape)
        test = strip(test) if test.get("kind") else {"kind": "none"}
        if test["kind"] != "BinaryOperator" or test["opcode"] != "<":
            refuse(node, "loop", shape)
        cond = self.expr(test)
        if not isinstance(cond, ir.Cmp) or cond.a != var:
            refuse(node, "loop", shape)
        if not (isinstance(first.value, ir.Const)
                and isinstance(cond.b, ir.Const)):
            refuse(node, "loop", "loop bounds are not constants")
        step = strip(step) if step.get("kind") else {"kind": "none"}
        if (step["kind"] != "UnaryOperator" or step["opcode"] != "++"
                or self.expr_variable(only(step)) != var):
            refuse(node, "loop", shape)
        self.loop_vars.append(var.id)
        statements = self.block(body)
        self.loop_vars.pop()
        return [ir.For(loc_of(node), var, first.value.value, cond.b.value,
                       statements)]

    def expr_variable(self, node):
        node = strip(node)
        return self.variable(node) if node["kind"] == "DeclRefExpr" else None

    def return_(self, node):
        result, inner = self.prototype.result, children(node)
        if not inner:
            return [ir.Return(loc_of(node), None)]
        value = strip(inner[0])
        if value["kind"] == "CallExpr":
            refuse(node, "call", "return f(..): assign the result first")
        return [ir.Return(loc_of(node), self.typed(value, result))]

    # --- expressions --------------------------------------------------------

    def typed(self, node, type_):
        value = self.expr(node)
        if value.type == type_:
            return value
        refuse(node, "cast", f"{value.type.name} where {type_.name} is due")

    def condition(self, node):
        value = self.expr(node)
        if value.type == BOOL:
            return value
        if isinstance(value, ir.Const) and value.value in (0, 1):
            return ir.Const(BOOL, value.value)
        refuse(node, "bool", f"a {value.type.name} used as a truth value: "
                             "compare it")

    def expr(self, node):
        node = strip(node)
        handler = {
            "IntegerLiteral": self.literal, "CXXBoolLiteralExpr": self.truth,
            "DeclRefExpr": self.reference, "MemberExpr": self.field,
            "ImplicitCastExpr": self.cast, "CStyleCastExpr": self.cast,
            "BinaryOperator": self.operator, "UnaryOperator": self.unary,
            "CompoundLiteralExpr": lambda n: self.expr(only(n)),
            "InitListExpr": self.init_list,
            "ImplicitValueInitExpr": self.zero,
        }.get(node.get("kind"))
        if handler is None:
            unknown(node, "in an expression")
        return handler(node)

    def literal(self, node):
        return ir.Const(self.u.canonical(node), int(node["value"]))

    @staticmethod
    def truth(node):
        return ir.Const(BOOL, 1 if node["value"] else 0)

    def zero(self, node):
        return ir.Const(self.u.canonical(node), 0)

    def init_list(self, node):
        type_ = self.u.canonical(node)
        if not isinstance(type_, ir.Struct):  # { 0 } around a scalar
            return self.typed(only(node), type_)
        parts = children(node)
        if len(parts) != len(type_.fields):
            refuse(node, "init", f"initialiser of struct {type_.name}")
        values = [self.typed(part, field_type)
                  for part, (_, field_type) in zip(parts, type_.fields)]
        return ir.StructLit(type_, tuple(values))

    def reference(self, node):
        decl = node["referencedDecl"]
        if decl["kind"] == "EnumConstantDecl":
            return ir.Const(self.u.canonical(node), self.u.enums[decl["id"]])
        return self.variable(node)

    def variable(self, node):
        decl = node["referencedDecl"]
        var = self.vars.get(decl["id"])
        if var is None:
            rule = "global" if decl["kind"] == "VarDecl" else "ast"
            refuse(node, rule, f"{decl.get('name')} is not a local variable")
        return var

    def field(self, node):
        base = strip(only(node))
        if node.get("isArrow") or base["kind"] != "DeclRefExpr":
            refuse(node, "ast", "a field of something that is not a local "
                                "struct variable")
        var = self.variable(base)
        for name, type_ in var.type.fields:
            if name == node["name"]:
                return ir.Field(type_, var, name)
        refuse(node, "ast", f"no field {node['name']}")

    # Casts.  `explicit` is true when the source spells the cast.
    def cast(self, node):
        kind = node["castKind"]
        explicit = (node["kind"] == "CStyleCastExpr"
                    or node.get("isPartOfExplicitCast", False))
        if node["kind"] == "CStyleCastExpr" and not explicit_type_ok(node):
            refuse(node, "cast", f"cast to '{node['type']['qualType']}'")
        value = self.expr(only(node))
        if kind in ("LValueToRValue", "NoOp"):
            return value
        target = self.u.canonical(node)
        if kind == "IntegralToBoolean":
            return self.to_bool(node, value, explicit)
        if kind != "IntegralCast":
            refuse(node, "cast", f"cast kind {kind}")
        if isinstance(value, ir.Const):
            return self.convert_constant(node, value, target, explicit)
        if value.type == target:        # unsigned long <-> unsigned long long
            return value
        if value.type == BOOL and target == INT:
            return value                # promotion of a truth value
        if target not in (U64, U32):
            refuse(node, "cast", f"{value.type.name} to {target.name}")
        if not explicit:
            refuse(node, "cast", f"implicit conversion of {value.type.name} "
                                 f"to {target.name}: write the cast")
        return ir.Conv(target, value)

    @staticmethod
    def to_bool(node, value, explicit):
        if value.type == BOOL:          # of a comparison, &&, || or !
            return value
        if isinstance(value, ir.Const):
            return ir.Const(BOOL, 1 if value.value else 0)
        if explicit:
            return ir.Cmp("!=", value, ir.Const(value.type, 0))
        refuse(node, "bool", f"implicit conversion of {value.type.name} to "
                             "bool: compare it")

    @staticmethod
    def convert_constant(node, value, target, explicit):
        number = value.value
        if not in_range(number, target):
            if not explicit:
                refuse(node, "cast", f"constant {number} does not fit "
                                     f"{target.name}")
            number %= 1 << target.bits
            if not in_range(number, target):
                refuse(node, "cast", f"constant {value.value} to "
                                     f"{target.name}")
        return ir.Const(target, number)

    # Operators.
    def operator(self, node):
        op = node["opcode"]
        if op == "=":
            refuse(node, "ast", "assignment inside an expression")
        if op == ",":
            refuse(node, "ast", "comma operator")
        left, right = children(node)
        if op in ("&&", "||"):
            return ir.Logic(op, self.condition(left), self.condition(right))
        return self.binary(node, op, self.expr(left), self.expr(right))

    def binary(self, node, op, a, b):
        if op in COMPARE:
            return self.compare(node, op, a, b)
        if op not in ARITHMETIC | BY_CONSTANT:
            refuse(node, "ast", f"operator '{op}'")
        if op in BY_CONSTANT:
            if not isinstance(b, ir.Const):
                refuse(node, "shift", f"'{op}' by something not constant")
            low, high = (0, a.type.bits - 1) if op in ("<<", ">>") \
                else (1, None)
            if b.value < low or (high is not None and b.value > high):
                refuse(node, "shift", f"'{op}' by {b.value}")
        if isinstance(a, ir.Const) and isinstance(b, ir.Const):
            return self.fold(node, op, a, b)
        if a.type not in (U64, U32):
            refuse(node, "type", f"'{op}' on {a.type.name}: only uint64_t and "
                                 "uint32_t are calculated with")
        if op in ("<<", ">>"):
            b = ir.Const(a.type, b.value)
        if a.type != b.type:
            refuse(node, "cast", f"{a.type.name} {op} {b.type.name}")
        return ir.Bin(a.type, op, a, b)

    @staticmethod
    def compare(node, op, a, b):
        if BOOL in (a.type, b.type):
            a, b = (ir.Const(BOOL, e.value)
                    if isinstance(e, ir.Const) and e.value in (0, 1) else e
                    for e in (a, b))
            if a.type != BOOL or b.type != BOOL or op not in ("==", "!="):
                refuse(node, "bool", f"bool {op} integer")
        if a.type != b.type or isinstance(a.type, ir.Struct):
            refuse(node, "cast", f"{a.type.name} {op} {b.type.name}")
        return ir.Cmp(op, a, b)

    def fold(self, node, op, a, b):
        """Constant expressions, exactly as C has them; no overflow."""
        if op not in ("<<", ">>") and a.type != b.type:
            refuse(node, "cast", f"{a.type.name} {op} {b.type.name}")
        value = {
            "+": lambda x, y: x + y, "-": lambda x, y: x - y,
            "*": lambda x, y: x * y, "&": lambda x, y: x & y,
            "|": lambda x, y: x | y, "^": lambda x, y: x ^ y,
            "/": lambda x, y: x // y, "%": lambda x, y: x % y,
            "<<": lambda x, y: x << y, ">>": lambda x, y: x >> y,
        }[op](a.value, b.value)
        if a.type.signed and (a.value < 0 or b.value < 0):
            refuse(node, "type", f"'{op}' on a negative constant")
        if not in_range(value, a.type):
            if a.type.signed:
                refuse(node, "type", f"constant expression {value} does not "
                                     f"fit {a.type.name}")
            value %= 1 << a.type.bits
        return ir.Const(a.type, value)

    def unary(self, node):
        op = node["opcode"]
        if op == "!":
            return ir.LNot(self.condition(only(node)))
        if op in ("++", "--"):
            refuse(node, "ast", f"'{op}' outside the step of a for")
        if op in ("&", "*"):
            refuse(node, "pointer", f"unary '{op}'")
        value = self.expr(only(node))
        if op == "+" and isinstance(value, ir.Const):
            return value
        if op == "-" and isinstance(value, ir.Const):
            number = -value.value
            if not in_range(number, value.type):
                if value.type.signed:
                    refuse(node, "type", f"constant {number} out of range")
                number %= 1 << value.type.bits
            return ir.Const(value.type, number)
        if op == "~" and isinstance(value, ir.Const):
            if value.type.signed:
                refuse(node, "type", "'~' on a signed constant")
            return ir.Const(value.type,
                            value.value ^ ((1 << value.type.bits) - 1))
        if op == "~" and value.type in (U64, U32):
            return ir.Inv(value.type, value)
        refuse(node, "type", f"unary '{op}' on {value.type.name}")


def tag_id(node):
    """The struct that a typedef node stands for, if any."""
    while node:
        for key in ("ownedTagDecl", "decl"):
            if key in node:
                return node[key]["id"]
        node = next(iter(node.get("inner", [])), None)
    return None


def explicit_type_ok(node):
    words = [w for w in node["type"]["qualType"].split() if w != "const"]
    return " ".join(words) in SPELLINGS | {"void"}


def in_range(number, type_):
    if type_.signed:
        return -(1 << (type_.bits - 1)) <= number < 1 << (type_.bits - 1)
    return 0 <= number < 1 << type_.bits
