# SPDX-License-Identifier: Apache-2.0
"""The language of hyp/core.

Expressions are pure and total.  Calls are statements.  There is no implicit
conversion left: `Conv` is the only one, and it says what it converts to.
An `int` of C is never a value here, only a constant or a truth value.
"""
from dataclasses import dataclass, field


class Refused(Exception):
    """A construct outside the subset."""

    def __init__(self, loc, rule, text):
        super().__init__(f"{loc[0]}:{loc[1]}: [{rule}] {text}")
        self.loc, self.rule, self.text = loc, rule, text


# --- types ---------------------------------------------------------------

@dataclass(frozen=True)
class Scalar:
    name: str
    bits: int
    signed: bool = False


U64, U32, BOOL = Scalar("u64", 64), Scalar("u32", 32), Scalar("bool", 1)
# Types of constants only: `1`, `1L`, enum constants.
INT, LONG = Scalar("int", 32, True), Scalar("long", 64, True)
VALUE_TYPES = (U64, U32, BOOL)


@dataclass(frozen=True)
class Struct:
    name: str
    fields: tuple  # of (name, Scalar)


@dataclass(frozen=True)
class Void:
    name: str = "void"


# --- expressions -----------------------------------------------------------

@dataclass(frozen=True)
class Const:
    type: Scalar
    value: int


@dataclass(frozen=True)
class Var:
    type: object
    name: str
    id: str = field(compare=False, default="")


@dataclass(frozen=True)
class Field:
    """One field of a struct variable."""
    type: Scalar
    var: Var
    field: str


@dataclass(frozen=True)
class StructLit:
    type: Struct
    values: tuple


@dataclass(frozen=True)
class Bin:
    """+ - * / % & | ^ << >> on u64 or u32; wraps; / % << >> by constants."""
    type: Scalar
    op: str
    a: object
    b: object


@dataclass(frozen=True)
class Inv:
    type: Scalar
    a: object


@dataclass(frozen=True)
class Conv:
    """u64 -> u32 (modulo 2^32), u32 -> u64, bool -> u32 or u64 (0 or 1)."""
    type: Scalar
    a: object


@dataclass(frozen=True)
class Cmp:
    op: str
    a: object
    b: object
    type: Scalar = BOOL


@dataclass(frozen=True)
class LNot:
    a: object
    type: Scalar = BOOL


@dataclass(frozen=True)
class Logic:
    """&& and ||; both sides are pure, so the order does not matter."""
    op: str
    a: object
    b: object
    type: Scalar = BOOL


# --- statements ------------------------------------------------------------

@dataclass
class Assign:
    loc: tuple
    target: object  # Var or Field
    value: object


@dataclass
class Call:
    loc: tuple
    target: object  # Var, Field or None
    callee: str
    args: list


@dataclass
class If:
    loc: tuple
    cond: object
    then: list
    other: list


@dataclass
class For:
    loc: tuple
    var: Var
    first: int
    bound: int
    body: list


@dataclass
class Return:
    loc: tuple
    value: object  # or None


# --- program ---------------------------------------------------------------

@dataclass
class Prototype:
    loc: tuple
    name: str
    result: object
    params: list  # of types


@dataclass
class Function:
    loc: tuple
    name: str
    result: object
    params: list  # of Var
    body: list
    static: bool
    complete: bool  # False: some statement was refused


@dataclass
class Unit:
    path: str
    functions: list
    prototypes: dict  # name -> Prototype, of every declaration seen
