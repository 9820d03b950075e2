# SPDX-License-Identifier: GPL-2.0-or-later
"""The declaration from which everything about a target's programs is derived.

A target declares one `Schema`: the arguments of its boot record and its ops. The binary codec, the
text form, the generator, the mutator, the strategies and the constants of the compiled code all
read it.

The plain Python form of a program is `ProgramData`: tuples of integers, hashable, comparable, with
no reference to a schema. Every function that needs names takes the schema beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from vfuzz.errors import UnknownName, UsageError, did_you_mean

__all__ = [
    "FAIL_CLASSES",
    "FAIL_NTH_MAX",
    "KINDS",
    "MAX_ARGS",
    "MAX_BOOT",
    "MAX_OPS",
    "MAX_RECORD",
    "ROLES",
    "Arg",
    "Fail",
    "Focus",
    "InvalidProgram",
    "Op",
    "OpCall",
    "ProgramData",
    "Schema",
]

# These limits are the sizes of the arrays in codec.pxd; test_schema.py compares the two.
MAX_ARGS = 12  # arguments of an op
MAX_BOOT = 16  # arguments of the boot record
MAX_OPS = 64  # ops of a program, and kinds of op of a schema
MAX_RECORD = 64  # bytes of a record

KINDS = ("int", "bool", "enum", "flags")
ROLES = ("", "length", "index", "count")

#: Classes of fault site, in the order of the two bits in the prop byte.
FAIL_CLASSES = ("any", "alloc", "map", "add")
FAIL_NTH_MAX = 31

#: Words that the text form uses itself.
RESERVED = ("boot", "fail")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


class InvalidProgram(UsageError):
    """A ProgramData that does not fit its schema. `problems` holds one line for each culprit."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def _require_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(
            f"{what}: {name!r} is not a name: start with a letter or '_', go on with letters, "
            f"digits, '_' and '-'"
        )


def _require_int(what: str, value: object, lo: int, hi: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not lo <= value <= hi:
        raise ValueError(f"{what}: {value!r} is not an integer in {lo}..{hi}")


def _width_of(hi: int) -> int:
    return 1 if hi <= 0xFF else 2 if hi <= 0xFFFF else 4


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument of an op or of the boot record: an unsigned integer of 1, 2 or 4 bytes.

    kind         "int" (lo..hi), "bool", "enum" (value = index in names), "flags" (bit i = names[i],
                 None for a bit without meaning)
    lo, hi       inclusive bounds of an "int"; for the other kinds they follow from the names
    names        of an "enum" or of "flags"
    default      what the text form leaves out: a value, or for "enum" and "flags" names ("A|B").
                 A 0 outside lo..hi stands for lo, as zero bytes decode
    width        bytes in a record; the smallest that holds hi when not given
    doc          one sentence, for help and docs
    interesting  values that the generator and the mutator should favour
    role         "length" (of something in bytes), "index" (of something live), "count", or ""

    After construction hi, default and width are always integers. Raises ValueError.
    """

    name: str
    kind: str
    lo: int = 0
    hi: int | None = None
    names: tuple[str | None, ...] = ()
    default: int | str = 0
    width: int | None = None
    doc: str = ""
    interesting: tuple[int, ...] = ()
    role: str = ""

    def __post_init__(self) -> None:
        _require_name("argument", self.name)
        what = f"argument {self.name}"
        if self.kind not in KINDS:
            raise ValueError(f"{what}: kind {self.kind!r} is not one of {', '.join(KINDS)}")
        if self.role not in ROLES:
            raise ValueError(f"{what}: role {self.role!r} is not '' or {' or '.join(ROLES[1:])}")
        if self.width not in (None, 1, 2, 4):
            raise ValueError(f"{what}: width {self.width!r} is not 1, 2 or 4 bytes")
        if isinstance(self.names, str):
            raise TypeError(f"{what}: names is one string: a tuple of one needs its comma")
        set_ = object.__setattr__  # the instance is frozen, and these fields are normalised once
        set_(self, "names", tuple(self.names))
        set_(self, "interesting", tuple(self.interesting))
        set_(self, "hi", self._checked_hi(what))
        if self.width is None:
            set_(self, "width", _width_of(self.hi))
        if self.hi >= 1 << (8 * self.width):
            raise ValueError(f"{what}: {self.hi} does not fit in {self.width} bytes: widen it")
        set_(self, "default", self._checked_default(what))
        if len(self.interesting) > 255:
            raise ValueError(f"{what}: more than 255 interesting values")
        for value in self.interesting:
            self._require_value(f"{what}: interesting value", value)

    def _checked_hi(self, what: str) -> int:
        if self.kind == "int":
            if self.names:
                raise ValueError(f"{what}: an int has no names: make it an enum or flags")
            if self.hi is None and self.width is None:
                raise ValueError(f"{what}: an int needs hi, or a width to take it from")
            hi = (1 << (8 * self.width)) - 1 if self.hi is None else self.hi
            _require_int(f"{what}: hi", hi, 0, 0xFFFFFFFF)
            _require_int(f"{what}: lo", self.lo, 0, hi)
            return hi
        if self.lo != 0 or self.hi is not None:
            raise ValueError(f"{what}: lo and hi belong to an int; they follow from the names here")
        if self.kind == "bool":
            if self.names:
                raise ValueError(f"{what}: a bool has no names: make it an enum")
            return 1
        used = [name for name in self.names if name is not None]
        if not used:
            raise ValueError(f"{what}: kind {self.kind} needs names")
        if len(set(used)) != len(used):
            raise ValueError(f"{what}: two names are the same: {self.names!r}")
        for name in used:
            _require_name(f"{what}: names", name)
        if self.kind == "enum":
            if len(used) != len(self.names):
                raise ValueError(f"{what}: an enum cannot have holes (None)")
            if len(used) > 0x10000:
                raise ValueError(f"{what}: more than 65536 names")
            return len(used) - 1
        if len(self.names) > 32:
            raise ValueError(f"{what}: flags have at most 32 bits")
        return sum(1 << bit for bit, name in enumerate(self.names) if name is not None)

    def _checked_default(self, what: str) -> int:
        if isinstance(self.default, str):
            return self._named_default(what, self.default)
        if self.default == 0:
            return self.fit(0)
        self._require_value(f"{what}: default", self.default)
        return self.default

    def _named_default(self, what: str, text: str) -> int:
        value = 0
        if self.kind not in ("enum", "flags"):
            raise ValueError(f"{what}: default {text!r} is a name, but a {self.kind} has no names")
        for name in text.split("|") if self.kind == "flags" else [text]:
            if name not in self.names:
                raise ValueError(f"{what}: default {name!r} is not one of its names")
            place = self.names.index(name)
            value |= 1 << place if self.kind == "flags" else place
        return value

    def _require_value(self, what: str, value: object) -> None:
        problem = self.problem(value)
        if problem:
            raise ValueError(f"{what} {problem}")

    @property
    def mask(self) -> int:
        """The bits of a raw record value that count, before it is fitted into lo..hi."""
        if self.kind in ("bool", "flags"):
            return self.hi
        return (1 << (8 * self.width)) - 1

    @property
    def span(self) -> int:
        """How many values lie in lo..hi (flags: the range, not the number of combinations)."""
        return self.hi - self.lo + 1

    def fit(self, raw: int) -> int:
        """The value that a raw record value decodes to: in range it stays, else it wraps."""
        raw &= self.mask
        return raw if self.lo <= raw <= self.hi else self.lo + raw % self.span

    def problem(self, value: object) -> str:
        """What is wrong with a value of this argument, or "" when nothing is."""
        if isinstance(value, bool) or not isinstance(value, int):
            return f"{value!r} is not an integer"
        if not self.lo <= value <= self.hi:
            return f"{value} is outside {self.lo}..{self.hi}"
        if self.kind == "flags" and value & ~self.hi:
            return f"{value} sets bits without a name: {value & ~self.hi:#x}"
        return ""


def _require_args(what: str, args: tuple[Arg, ...], limit: int, room: int) -> None:
    if not isinstance(args, tuple) or not all(isinstance(arg, Arg) for arg in args):
        raise ValueError(f"{what}: args must be a tuple of Arg: a tuple of one needs its comma")
    if len(args) > limit:
        raise ValueError(f"{what}: {len(args)} arguments, at most {limit} are possible")
    names = [arg.name for arg in args]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what}: two arguments are called {name!r}")
    size = sum(arg.width for arg in args)
    if size > room:
        raise ValueError(
            f"{what}: its arguments take {size} bytes of {room}: narrow one, drop one, or raise "
            f"record_size"
        )


@dataclass(frozen=True, slots=True)
class Op:
    """One kind of action on the target.

    args    at most 12, packed in this order
    doc     one sentence, for help and docs
    weight  how often it is picked, relative to the other ops; 0 leaves it to replay and text only
    """

    name: str
    args: tuple[Arg, ...] = ()
    doc: str = ""
    weight: int = 10

    def __post_init__(self) -> None:
        _require_name("op", self.name)
        if self.name in RESERVED:
            raise ValueError(f"op {self.name!r}: the text form uses this word: rename the op")
        _require_int(f"op {self.name}: weight", self.weight, 0, 0xFFFF)
        _require_args(f"op {self.name}", self.args, MAX_ARGS, MAX_RECORD - 2)

    def arg_index(self, name: str) -> int:
        """The place of an argument. Raises KeyError naming the ones there are."""
        return _place(self.args, name, f"op {self.name} has no argument")


def _place(items: tuple[Arg, ...] | tuple[Op, ...], name: str, complaint: str) -> int:
    for place, item in enumerate(items):
        if item.name == name:
            return place
    raise KeyError(f"{complaint} {name!r}; it has {', '.join(i.name for i in items) or 'none'}")


@dataclass(frozen=True, slots=True)
class Fail:
    """The `fail` property of an op: make a fault site inside it fail.

    nth  1..31, counted among the sites of the class that this op reaches
    cls  index in FAIL_CLASSES: 0 any, 1 alloc, 2 map, 3 add
    all  every later site of the class in this op fails too
    """

    nth: int
    cls: int = 0
    all: bool = False

    def problem(self) -> str:
        """What is wrong with the property, or ""."""
        if not isinstance(self.nth, int) or not 1 <= self.nth <= FAIL_NTH_MAX:
            return f"fail: nth {self.nth!r} is outside 1..{FAIL_NTH_MAX}"
        if not isinstance(self.cls, int) or not 0 <= self.cls < len(FAIL_CLASSES):
            return f"fail: class {self.cls!r} is outside 0..{len(FAIL_CLASSES) - 1}"
        if not isinstance(self.all, bool):
            return f"fail: all is {self.all!r}, not True or False"
        return ""


@dataclass(frozen=True, slots=True)
class OpCall:
    """One op of a program: kind is an index in Schema.ops, args are in declaration order."""

    kind: int
    args: tuple[int, ...]
    fail: Fail | None = None


@dataclass(frozen=True, slots=True)
class ProgramData:
    """A whole program: the boot record's arguments, then the ops."""

    boot: tuple[int, ...]
    ops: tuple[OpCall, ...] = ()


@dataclass(frozen=True)
class Focus:
    """A part of a target that a campaign can keep to.

    ops   the ops that are picked; the others have weight 0
    boot  boot argument -> the values that it takes: names of an "enum" or of "flags" (bits that can
          be set), or numbers; they have to follow each other, but for "flags"
    eras  the eras that have it, which a campaign follows unless it is told which; (): all
    doc   one sentence, for help and docs
    """

    name: str
    ops: tuple[str, ...]
    boot: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    doc: str = ""
    eras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_name("focus", self.name)
        if not isinstance(self.ops, tuple) or not self.ops:
            raise ValueError(f"focus {self.name}: ops must be a tuple of names")


def _narrowed(what: str, arg: Arg, values: tuple[str | int, ...]) -> Arg:
    """An argument that takes these values only, at their places in a record as before."""
    for value in values:
        if isinstance(value, str) and value not in arg.names:
            raise ValueError(f"{what}: {arg.name} has no {value!r}")
    if arg.kind == "flags":
        names = tuple(name if name in values else None for name in arg.names)
        kept = sum(1 << bit for bit, name in enumerate(names) if name is not None)
        return replace(arg, names=names, hi=None, default=arg.default & kept, interesting=())
    numbers = sorted(arg.names.index(v) if isinstance(v, str) else v for v in values)
    if not numbers or numbers != list(range(numbers[0], numbers[-1] + 1)):
        raise ValueError(f"{what}: the values of {arg.name} do not follow each other: {values!r}")
    lo, hi = numbers[0], numbers[-1]
    return Arg(
        arg.name, "int", lo, hi, width=arg.width, doc=arg.doc, role=arg.role,
        default=arg.default if lo <= arg.default <= hi else lo,
        interesting=tuple(value for value in arg.interesting if lo <= value <= hi),
    )  # fmt: skip


@dataclass(frozen=True)
class Schema:
    """Everything about the programs of one target.

    target       its name, for messages
    boot         arguments of record 0, at most 16
    ops          kinds of op, at most 64; an op's kind is its place here
    record_size  bytes of every record
    max_ops      ops of a program, at most 64; later ones are dropped by the codec
    focuses      parts of the target that a campaign can keep to
    """

    target: str
    boot: tuple[Arg, ...]
    ops: tuple[Op, ...]
    record_size: int = 16
    max_ops: int = MAX_OPS
    focuses: tuple[Focus, ...] = ()

    def __post_init__(self) -> None:
        what = f"schema {self.target}"
        _require_int(f"{what}: record_size", self.record_size, 4, MAX_RECORD)
        _require_int(f"{what}: max_ops", self.max_ops, 1, MAX_OPS)
        _require_args(f"{what}: boot", self.boot, MAX_BOOT, self.record_size)
        if not isinstance(self.ops, tuple) or not all(isinstance(op, Op) for op in self.ops):
            raise ValueError(f"{what}: ops must be a tuple of Op: a tuple of one needs its comma")
        if not 1 <= len(self.ops) <= MAX_OPS:
            raise ValueError(f"{what}: {len(self.ops)} ops, from 1 to {MAX_OPS} are possible")
        names = [op.name for op in self.ops]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{what}: two ops are called {name!r}")
        for op in self.ops:
            _require_args(f"{what}: op {op.name}", op.args, MAX_ARGS, self.record_size - 2)
        if not any(op.weight for op in self.ops):
            raise ValueError(f"{what}: every op has weight 0, so none could ever be picked")
        for focus in self.focuses:
            self._focused(focus)

    def focused(self, name: str) -> Schema:
        """This schema for whoever makes programs in a focus: the same programs, but ops outside of
        it are never picked, and boot arguments keep to its values. Raises UnknownName."""
        return self._focused(self.focus(name))

    def focus(self, name: str) -> Focus:
        """The focus of that name. Raises UnknownName."""
        for focus in self.focuses:
            if focus.name == name:
                return focus
        names = [focus.name for focus in self.focuses]
        raise UnknownName(f"unknown focus {name!r} of {self.target}: {did_you_mean(name, names)}")

    def _focused(self, focus: Focus) -> Schema:
        what = f"schema {self.target}: focus {focus.name}"
        for op in focus.ops:
            if op not in self.kinds:
                raise ValueError(f"{what}: there is no op {op!r}")
        for arg in focus.boot:
            self.boot_index(arg)
        return replace(
            self,
            boot=tuple(
                _narrowed(what, arg, focus.boot[arg.name]) if arg.name in focus.boot else arg
                for arg in self.boot
            ),
            ops=tuple(op if op.name in focus.ops else replace(op, weight=0) for op in self.ops),
            focuses=(),
        )

    @cached_property
    def kinds(self) -> Mapping[str, int]:
        """Op name -> kind."""
        return {op.name: kind for kind, op in enumerate(self.ops)}

    @cached_property
    def default_boot(self) -> tuple[int, ...]:
        """The boot record that the text form means when it says nothing."""
        return tuple(arg.default for arg in self.boot)

    def op_index(self, name: str) -> int:
        """The kind of an op. Raises KeyError naming the ones there are."""
        return _place(self.ops, name, f"target {self.target} has no op")

    def boot_index(self, name: str) -> int:
        """The place of a boot argument. Raises KeyError naming the ones there are."""
        return _place(self.boot, name, f"the boot record of {self.target} has no argument")

    def call(self, op_name: str, /, *, fail: Fail | None = None, **args: int) -> OpCall:
        """An OpCall by names; arguments not given are at their defaults. Only names are checked."""
        kind = self.op_index(op_name)
        op = self.ops[kind]
        values = [arg.default for arg in op.args]
        for name, value in args.items():
            values[op.arg_index(name)] = value
        return OpCall(kind, tuple(values), fail)

    def boot_values(self, **args: int) -> tuple[int, ...]:
        """A boot record by names; arguments not given are at their defaults."""
        values = list(self.default_boot)
        for name, value in args.items():
            values[self.boot_index(name)] = value
        return tuple(values)

    def problems(self, program: ProgramData) -> list[str]:
        """Everything that is wrong with a program, one line each with the path to the culprit."""
        found = _arg_problems("boot", self.boot, program.boot)
        if len(program.ops) > self.max_ops:
            found.append(f"{len(program.ops)} ops, at most {self.max_ops} are possible")
        for place, call in enumerate(program.ops):
            if not isinstance(call.kind, int) or not 0 <= call.kind < len(self.ops):
                found.append(f"op {place}: kind {call.kind!r} is outside 0..{len(self.ops) - 1}")
                continue
            op = self.ops[call.kind]
            found += _arg_problems(f"op {place} {op.name}", op.args, call.args)
            problem = call.fail.problem() if call.fail is not None else ""
            if problem:
                found.append(f"op {place} {op.name}: {problem}")
        return found

    def validate(self, program: ProgramData) -> None:
        """Raise InvalidProgram with every problem of the program, or return."""
        found = self.problems(program)
        if found:
            raise InvalidProgram(found)


def _arg_problems(path: str, args: tuple[Arg, ...], values: tuple[int, ...]) -> list[str]:
    if len(values) != len(args):
        return [f"{path}: {len(values)} arguments, it takes {len(args)}"]
    for arg, value in zip(args, values, strict=True):
        # without a call of problem(): each program that runs comes by here
        if type(value) is not int or not arg.lo <= value <= arg.hi or (
            arg.kind == "flags" and value & ~arg.hi
        ):  # fmt: skip
            break
    else:
        return []
    return [
        f"{path}: {arg.name}: {problem}"
        for arg, value in zip(args, values, strict=True)
        if (problem := arg.problem(value))
    ]
