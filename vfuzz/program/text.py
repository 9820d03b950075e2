# SPDX-License-Identifier: GPL-2.0-or-later
"""The text form of a program, for review, for mail and for corpus files.

    # a comment, up to the end of the line
    boot(profile=hostile, features=MRG_RXBUF|VERSION_1, ring=16)
    open()
    rx(queue=0, size=1500, flags=NEEDS_CSUM) fail(alloc, 2)

The grammar is written in docs/program-syntax.md. Printing is canonical: parse(format(p)) == p for
every valid program, and format(parse(t)) is the one spelling of t's program. Comments are not kept.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from vfuzz.errors import UsageError, did_you_mean
from vfuzz.program.schema import (
    FAIL_CLASSES,
    FAIL_NTH_MAX,
    Arg,
    Fail,
    InvalidProgram,
    OpCall,
    ProgramData,
    Schema,
)

__all__ = [
    "ParseError",
    "format",
    "format_boot",
    "format_call",
    "format_fail",
    "format_value",
    "parse",
]


class ParseError(UsageError):
    """A text that is not a program.

    line, column  where, both from 1; the column counts characters
    message       what was wrong
    hint          what to write instead
    source        the line itself
    """

    def __init__(self, line: int, column: int, message: str, hint: str, source: str) -> None:
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint
        self.source = source
        # Tabs are kept in the caret line, so that it points right whatever their width.
        lead = "".join("\t" if char == "\t" else " " for char in source[: column - 1])
        super().__init__(
            f"line {line}, column {column}: {message}\n  {source}\n  {lead}^\n  hint: {hint}"
        )


# -------- printing


def format_value(arg: Arg, value: int) -> str:
    """One value as the text form writes it: a name, names joined by '|', or a decimal number."""
    if arg.kind == "enum":
        return str(arg.names[value])
    if arg.kind == "flags" and value:
        return "|".join(str(name) for bit, name in enumerate(arg.names) if value >> bit & 1)
    return str(value)


def _format_args(args: tuple[Arg, ...], values: tuple[int, ...]) -> str:
    return ", ".join(
        f"{arg.name}={format_value(arg, value)}"
        for arg, value in zip(args, values, strict=True)
        if value != arg.default
    )


def format_boot(schema: Schema, boot: tuple[int, ...]) -> str:
    """The boot call: "boot(ring=16)"."""
    return f"boot({_format_args(schema.boot, boot)})"


def format_fail(fail: Fail) -> str:
    """The fail property: "fail(alloc, 2)"."""
    parts = [FAIL_CLASSES[fail.cls]] if fail.cls else []
    parts.append(str(fail.nth))
    if fail.all:
        parts.append("all")
    return f"fail({', '.join(parts)})"


def format_call(schema: Schema, call: OpCall) -> str:
    """One op with its property: "rx(size=60) fail(2)"."""
    op = schema.ops[call.kind]
    text = f"{op.name}({_format_args(op.args, call.args)})"
    return text if call.fail is None else f"{text} {format_fail(call.fail)}"


def format(schema: Schema, program: ProgramData) -> str:
    """The canonical text of a program: boot first, one call a line, a newline after each.

    Only arguments that differ from their default are printed. Raises InvalidProgram.
    """
    problems = schema.problems(program)
    if problems:
        raise InvalidProgram(problems)
    lines = [format_boot(schema, program.boot)]
    lines += (format_call(schema, call) for call in program.ops)
    return "\n".join(lines) + "\n"


# -------- parsing


class _Token(NamedTuple):
    kind: str  # "word", "number", "end" (of the line), or the punctuation itself
    text: str
    column: int


_TOKEN = re.compile(
    r"(?P<space>[ \t]+|\#.*)"
    r"|(?P<number>0[xX][0-9a-fA-F]+(?![A-Za-z0-9_])|[0-9]+(?![A-Za-z0-9_]))"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_-]*)"
    r"|(?P<punct>[()=,|])"
)

#: No argument is wider than 32 bits; longer digit strings are not even converted.
_NUMBER_CHARS_MAX = 32


def _describe(arg: Arg) -> str:
    """A hint: what an argument takes."""
    if arg.kind == "int":
        return f"{arg.name} takes an integer in {arg.lo}..{arg.hi}"
    if arg.kind == "bool":
        return f"{arg.name} takes 0, 1, false or true"
    names = [name for name in arg.names if name]
    if arg.kind == "enum":
        return f"{arg.name} takes one of {', '.join(names)}"
    return f"{arg.name} takes 0, or some of {', '.join(names)} joined by '|'"


class _Line:
    """Reads the one call of a line."""

    def __init__(self, schema: Schema, number: int, source: str) -> None:
        self.schema = schema
        self.number = number
        self.source = source
        self.tokens = self._scan()
        self.place = 0

    def fail(self, token: _Token, message: str, hint: str) -> NoReturn:
        raise ParseError(self.number, token.column, message, hint, self.source)

    def _scan(self) -> list[_Token]:
        tokens = []
        at = 0
        while at < len(self.source):
            match = _TOKEN.match(self.source, at)
            if match is None:
                self._fail_scan(at)
            kind = match.lastgroup
            text = match.group()
            if kind != "space":
                tokens.append(_Token(text if kind == "punct" else str(kind), text, at + 1))
            at = match.end()
        tokens.append(_Token("end", "the end of the line", len(self.source) + 1))
        return tokens

    def _fail_scan(self, at: int) -> NoReturn:
        char = self.source[at]
        token = _Token("bad", char, at + 1)
        if char in "0123456789":
            hint = "write 1500 or 0x5dc; a name starts with a letter or '_'"
            self.fail(token, "this is neither a number nor a name", hint)
        if char in "+-":
            self.fail(token, f"unexpected {char!r}", "numbers are unsigned: leave the sign out")
        if char in "'\"":
            self.fail(token, f"unexpected {char!r}", "names are written without quotes")
        self.fail(token, f"unexpected {char!r}", "write op(argument=value, ...), '#' for a comment")

    # -- tokens

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def next(self) -> _Token:
        token = self.tokens[self.place]
        if token.kind != "end":
            self.place += 1
        return token

    def expect(self, kind: str, after: str, hint: str) -> _Token:
        token = self.next()
        if token.kind != kind:
            wanted = f"'{kind}'" if len(kind) == 1 else f"a {kind}"
            self.fail(token, f"expected {wanted} after {after}, found {_shown(token)}", hint)
        return token

    def number_value(self, token: _Token) -> int:
        if len(token.text) > _NUMBER_CHARS_MAX:
            self.fail(token, "this number is too long", "no argument is wider than 32 bits")
        return int(token.text, 16 if token.text[:2] in ("0x", "0X") else 10)

    # -- calls

    def name(self) -> _Token:
        token = self.next()
        if token.kind != "word":
            hint = f"start the line with boot or an op: {', '.join(self.schema.kinds)}"
            self.fail(token, f"expected the name of an op, found {_shown(token)}", hint)
        return token

    def op_call(self, name: _Token) -> OpCall:
        kind = self.schema.kinds.get(name.text)
        if kind is None:
            if name.text == "fail":
                self.fail(name, "fail stands alone", "write it behind the op: poll() fail(1)")
            self.fail(name, f"unknown op {name.text!r}", did_you_mean(name.text, self.schema.kinds))
        values = self.arguments(name.text, self.schema.ops[kind].args)
        fail = None
        if self.token.kind == "word" and self.token.text == "fail":
            fail = self.fail_property()
        self.end(name.text)
        return OpCall(kind, values, fail)

    def boot_call(self) -> tuple[int, ...]:
        values = self.arguments("boot", self.schema.boot)
        if self.token.kind == "word" and self.token.text == "fail":
            self.fail(self.token, "boot cannot fail", "put fail(...) behind an op")
        self.end("boot")
        return values

    def end(self, owner: str) -> None:
        token = self.next()
        if token.kind != "end":
            hint = "write one call on each line"
            if token.kind == "word":
                hint = f"only fail(...) may follow an op; {hint}"
            self.fail(token, f"unexpected {_shown(token)} after the call of {owner!r}", hint)

    def arguments(self, owner: str, args: tuple[Arg, ...]) -> tuple[int, ...]:
        by_name = {arg.name: place for place, arg in enumerate(args)}
        values = [arg.default for arg in args]
        given: set[str] = set()
        self.expect("(", repr(owner), f"write {owner}() even when it has no arguments")
        if self.token.kind == ")":
            self.next()
            return tuple(values)
        while True:
            name = self.expect("word", "'(' or ','", f"write {owner}(argument=value, ...)")
            place = by_name.get(name.text)
            if place is None:
                self.fail(
                    name, f"{owner} has no argument {name.text!r}", did_you_mean(name.text, by_name)
                )
            if name.text in given:
                self.fail(name, f"{name.text!r} is given twice", "keep one of the two")
            given.add(name.text)
            self.expect("=", repr(name.text), f"write {name.text}=value; {_describe(args[place])}")
            values[place] = self.value(args[place])
            if not self.more(owner):
                return tuple(values)

    def more(self, owner: str) -> bool:
        """Whether a ',' goes on with the arguments; False when ')' ends them."""
        token = self.next()
        if token.kind not in (",", ")"):
            hint = f"separate arguments with ',' and end {owner}(...) with ')'"
            self.fail(token, f"expected ',' or ')', found {_shown(token)}", hint)
        return token.kind == ","

    # -- values

    def value(self, arg: Arg) -> int:
        first = self.token
        value = self.term(arg)
        while self.token.kind == "|":
            if arg.kind != "flags":
                self.fail(self.token, f"{arg.name} is not a set of flags", _describe(arg))
            self.next()
            value |= self.term(arg)
        problem = arg.problem(value)
        if problem:
            self.fail(first, f"{arg.name}: {problem}", _describe(arg))
        return value

    def term(self, arg: Arg) -> int:
        token = self.next()
        if token.kind == "number":
            return self.number_value(token)
        if token.kind != "word":
            self.fail(token, f"expected a value, found {_shown(token)}", _describe(arg))
        if arg.kind == "bool" and token.text in ("false", "true"):
            return int(token.text == "true")
        if arg.kind not in ("enum", "flags"):
            self.fail(token, f"{arg.name} has no names, found {token.text!r}", _describe(arg))
        if token.text not in arg.names:
            hint = did_you_mean(token.text, (name for name in arg.names if name))
            self.fail(token, f"{arg.name} has no value {token.text!r}", hint)
        place = arg.names.index(token.text)
        return 1 << place if arg.kind == "flags" else place

    # -- the fail property

    def fail_property(self) -> Fail:
        hint = "write fail(3), fail(alloc, 2) or fail(map, 1, all)"
        self.next()
        self.expect("(", "'fail'", hint)
        cls = 0
        if self.token.kind == "word":
            token = self.next()
            if token.text not in FAIL_CLASSES:
                near = did_you_mean(token.text, FAIL_CLASSES)
                self.fail(token, f"unknown class of fault {token.text!r}", near)
            cls = FAIL_CLASSES.index(token.text)
            self.expect(",", repr(token.text), hint)
        token = self.expect("number", "'(' or ','", hint)
        nth = self.number_value(token)
        if not 1 <= nth <= FAIL_NTH_MAX:
            message = f"fail: {nth} is outside 1..{FAIL_NTH_MAX}"
            self.fail(token, message, "it counts the fault sites in the op, from 1")
        all_ = False
        if self.more("fail"):
            token = self.next()
            if token.text != "all":
                self.fail(token, f"expected all, found {_shown(token)}", hint)
            all_ = True
            self.expect(")", "'all'", hint)
        return Fail(nth, cls, all_)


def _shown(token: _Token) -> str:
    return token.text if token.kind == "end" else repr(token.text)


def parse(schema: Schema, text: str) -> ProgramData:
    """The program that a text means. Arguments that are not given have their defaults.

    Raises ParseError at the first thing that is wrong.
    """
    boot: tuple[int, ...] | None = None
    ops: list[OpCall] = []
    for number, source in enumerate(text.split("\n"), 1):
        line = _Line(schema, number, source.removesuffix("\r"))
        if line.token.kind == "end":
            continue
        name = line.name()
        if name.text != "boot":
            if len(ops) == schema.max_ops:
                hint = f"a program of {schema.target} has at most {schema.max_ops}: drop some"
                line.fail(name, "too many ops", hint)
            ops.append(line.op_call(name))
        elif boot is not None:
            line.fail(name, "a second boot", "keep one boot(...), at the top")
        elif ops:
            line.fail(name, "boot comes after an op", "move boot(...) to the top")
        else:
            boot = line.boot_call()
    return ProgramData(schema.default_boot if boot is None else boot, tuple(ops))
