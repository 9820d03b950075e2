# SPDX-License-Identifier: GPL-2.0-or-later
"""The public Python API: targets, programs, and what became of executing one.

    t = vfuzz.target("virtio-net-rx")
    p = t.parse(text)                       # or t.decode(data): every byte string is a program
    r = t.execute(p, era="linux-6.1", quirks=("A04",), trace=True)
    if r.violation:
        print(r.report())

Everything here is immutable and deterministic: the same program, era and quirks give the same
result, in every process and on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from vfuzz.errors import NotBuilt, UnknownName, UsageError, did_you_mean
from vfuzz.targets import load_core, names, package_of

if TYPE_CHECKING:
    from vfuzz.program.schema import Fail, OpCall, ProgramData, Schema
    from vfuzz.sanitizer.registry import Check, Clause, Known, Quirk

__all__ = [
    "Call",
    "Event",
    "Program",
    "Result",
    "Step",
    "Target",
    "Violation",
    "signature_of",
    "target",
    "targets",
]

_loaded: dict[str, Target] = {}


def target(name: str) -> Target:
    """The target of this name. Raises UnknownName with the nearest names."""
    if not isinstance(name, str):
        raise TypeError(f"a target is named by a string, got {name!r}")
    if name not in _loaded:
        _loaded[name] = Target(package_of(name))
    return _loaded[name]


def targets() -> tuple[Target, ...]:
    """All targets that come with vfuzz, by name."""
    return tuple(target(name) for name in names())


def _with_repro() -> list[str]:
    return [t.name for t in targets() if find_spec(f"{t.package.__name__}.repro")]


def signature_of(check: str, site: str) -> str:
    """What findings are deduplicated by: check id and site, e.g. "S7@receive_mergeable:first"."""
    return f"{check}@{site}"


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that failed.

    check    its id: "S7"
    title    the class of bug: "out-of-bounds-read"
    site     "function:label" of the model
    op       index of the op during which it failed; len(program.ops) is the shutdown after the last
             op, -1 is boot
    message  what was read, written, lost or left over
    obj      kind of the object at fault: "page"; "" when there is none
    obj_id   its number in this run
    """

    check: str
    title: str
    site: str
    op: int
    message: str
    obj: str
    obj_id: int

    @property
    def signature(self) -> str:
        """What findings are deduplicated by."""
        return signature_of(self.check, self.site)

    def __str__(self) -> str:
        return f"{self.title} ({self.signature}) at op {self.op}: {self.message}"


@dataclass(frozen=True, slots=True)
class Step:
    """What one op did, as seen from outside the model.

    op    index of the op; len(program.ops) is the shutdown, -1 is boot
    text  the op as text
    obs   (name, value) of each observable, in the order in which they were observed
    """

    op: int
    text: str
    obs: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an object inside the model.

    op           index of the op during which it happened
    what         the kind of event: "alloc", "get", "put", ...
    obj, obj_id  the object
    a, b         two numbers whose meaning depends on `what`
    site         "function:label" of the model
    """

    op: int
    what: str
    obj: str
    obj_id: int
    a: int
    b: int
    site: str


@dataclass(frozen=True, slots=True)
class Call:
    """One op of a program, by names. Arguments are numbers: an enum's index, a mask of flags."""

    name: str
    args: Mapping[str, int]
    fail: Fail | None
    text: str

    def __str__(self) -> str:
        return self.text


class Target:
    """One fuzzable system. Get it from `vfuzz.target(name)`.

    name     what the command line calls it
    summary  one sentence
    eras     versions of upstream that the model can follow, oldest first
    schema   the declaration of its programs
    checks   all its checks; quirks: all its quirks
    core     the compiled module; raises NotBuilt with the remedy when it is missing
    """

    def __init__(self, package: ModuleType) -> None:
        self.package = package
        self.name: str = package.NAME
        self.summary: str = package.SUMMARY
        self.eras: tuple[str, ...] = tuple(package.ERAS)

    def __repr__(self) -> str:
        return f"<vfuzz target {self.name}>"

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> str:
        """The name by which another process finds it: its own, or its import path."""
        return self.name if self.name in names() else self.package.__name__

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return target, (self.path,)

    def _part(self, module: str, attribute: str) -> Any:
        import importlib

        return getattr(importlib.import_module(f"{self.package.__name__}.{module}"), attribute)

    @cached_property
    def schema(self) -> Schema:
        """The declaration of the target's programs."""
        return self._part("ops", "SCHEMA")

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """All checks, in the order of their numbers in the compiled code."""
        return self._part("checks", "CHECKS")

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """Statements of a specification and the checks that guard them; () for a target that has
        no such table."""
        try:
            return self._part("clauses", "CLAUSES")
        except ModuleNotFoundError as error:
            if error.name != f"{self.package.__name__}.clauses":
                raise
            return ()

    @cached_property
    def quirks(self) -> tuple[Quirk, ...]:
        """All quirks, in the order of their bits in the compiled code."""
        return self._part("quirks", "QUIRKS")

    @cached_property
    def core(self) -> ModuleType:
        """The compiled module. Raises NotBuilt."""
        return load_core(self.package)

    @property
    def built(self) -> bool:
        """Whether the compiled module can be loaded."""
        try:
            return self.core is not None
        except NotBuilt:
            return False

    def known(self, era: str | None = None) -> tuple[Known, ...]:
        """Documented findings that stand in upstream as it is: in one era, or in all."""
        known = self._part("known", "KNOWN")
        if era is None:
            return tuple(known)
        self.era_index(era)
        return tuple(entry for entry in known if entry.era == era)

    def era_index(self, era: str) -> int:
        """The number of an era in the compiled code. Raises UnknownName."""
        if era not in self.eras:
            raise UnknownName(f"unknown era {era!r} of {self.name}: {did_you_mean(era, self.eras)}")
        return self.eras.index(era)

    def quirk(self, name: str) -> Quirk:
        """A quirk by id or name. Raises UnknownName."""
        for quirk in self.quirks:
            if name in (quirk.id, quirk.name) or name.upper() == quirk.id.upper():
                return quirk
        every = [word for quirk in self.quirks for word in (quirk.id, quirk.name)]
        raise UnknownName(
            f"unknown quirk {name!r} of {self.name}: {did_you_mean(name, every)}"
            f" (`vfuzz quirks {self.name}` lists them)"
        )

    def check(self, ident: str) -> Check:
        """A check by id. Raises UnknownName."""
        for check in self.checks:
            if check.id == ident:
                return check
        every = [check.id for check in self.checks]
        raise UnknownName(f"unknown check {ident!r} of {self.name}: {did_you_mean(ident, every)}")

    def quirk_ids(self, quirks: Iterable[str | Quirk], era: str | None = None) -> tuple[str, ...]:
        """Ids of quirks in the order of the catalogue, each once.

        Raises UnknownName, and with an era UsageError for a quirk that the era cannot have.
        """
        if isinstance(quirks, str):
            raise TypeError(f"quirks takes several names: write quirks=({quirks!r},)")
        wanted = [self.quirk(q if isinstance(q, str) else q.id) for q in quirks]
        for quirk in wanted:
            if era is not None and era not in quirk.eras:
                raise UsageError(
                    f"quirk {quirk.id} cannot be switched on in {era}, "
                    f"only in {', '.join(quirk.eras)}"
                )
        ids = {quirk.id for quirk in wanted}
        return tuple(quirk.id for quirk in self.quirks if quirk.id in ids)

    def quirk_mask(self, quirks: Iterable[str | Quirk], era: str | None = None) -> int:
        """The bit mask of quirks that the compiled code takes. Raises as quirk_ids does."""
        ids = self.quirk_ids(quirks, era)
        return sum(1 << bit for bit, quirk in enumerate(self.quirks) if quirk.id in ids)

    def eras_with(self, quirks: Iterable[str]) -> tuple[str, ...]:
        """The eras in which all these quirks can be switched on."""
        wanted = [self.quirk(q) for q in quirks]
        return tuple(era for era in self.eras if all(era in quirk.eras for quirk in wanted))

    def parse(self, text: str) -> Program:
        """A program from its text. Raises the parse error of vfuzz.program.text."""
        from vfuzz.program import text as _text

        return Program(self, _text.parse(self.schema, text))

    def decode(self, data: bytes) -> Program:
        """A program from its binary form; every byte string is one."""
        return Program(self, _codec().decode(self.schema, bytes(data)))

    def program(self, data: ProgramData) -> Program:
        """A program from its plain form. Raises InvalidProgram naming every culprit."""
        self.schema.validate(data)
        return Program(self, data)

    def execute(
        self,
        program: Program | bytes | str,
        era: str | None = None,
        quirks: Iterable[str | Quirk] = (),
        *,
        trace: bool = False,
        events: bool = True,
    ) -> Result:
        """Run a program in a fresh world, to its end or its first violation.

        era     default: the newest
        quirks  historical bugs to switch on, by id or name
        trace   collect steps and events in this run; otherwise a second run fetches them when asked
        events  False leaves them out of what is collected: most of a trace are events

        Raises UnknownName, UsageError, NotBuilt.
        """
        era = self.eras[-1] if era is None else era
        era_index = self.era_index(era)
        quirk_ids = self.quirk_ids(quirks, era)
        program = self._as_program(program)
        outcome = self.core.execute(
            program.encode(), era_index, self.quirk_mask(quirk_ids, era), trace=trace,
            events=events,
        )
        found = outcome["violation"]
        violation = None
        if found is not None:
            check = self.checks[found["check"]]
            violation = Violation(
                check=check.id,
                title=check.title,
                site=found["site"],
                op=found["op"],
                message=found["message"],
                obj=found["obj"],
                obj_id=found["obj_id"],
            )
        return Result(
            target=self,
            program=program,
            era=era,
            quirks=quirk_ids,
            violation=violation,
            raw_trace=(outcome["steps"], outcome.get("events")) if trace else None,
        )

    def _as_program(self, program: Program | bytes | str) -> Program:
        if isinstance(program, Program):
            if program.target is not self:
                raise UsageError(
                    f"a program of target {program.target.name} cannot run on {self.name}"
                )
            return program
        if isinstance(program, str):
            return self.parse(program)
        if isinstance(program, (bytes, bytearray, memoryview)):
            return self.decode(bytes(program))
        raise TypeError(f"a program is a Program, bytes or text, got {type(program).__name__}")


class Program:
    """A list of ops for one target, with its boot record. Immutable.

    encode() and str() are canonical and exact: decoding or parsing them gives an equal program.
    """

    __slots__ = ("_lines", "data", "target")

    def __init__(self, target: Target, data: ProgramData) -> None:
        self.target = target
        self.data = data
        self._lines: tuple[str, ...] | None = None

    @property
    def boot(self) -> Mapping[str, int]:
        """The boot record: argument name -> number."""
        names = (arg.name for arg in self.target.schema.boot)
        return MappingProxyType(dict(zip(names, self.data.boot, strict=True)))

    @property
    def ops(self) -> tuple[Call, ...]:
        """The ops by names."""
        return tuple(self._call(i, call) for i, call in enumerate(self.data.ops))

    def _call(self, index: int, call: OpCall) -> Call:
        op = self.target.schema.ops[call.kind]
        names = (arg.name for arg in op.args)
        args = MappingProxyType(dict(zip(names, call.args, strict=True)))
        return Call(op.name, args, call.fail, self.op_text(index))

    def encode(self) -> bytes:
        """The canonical binary form. Raises NotBuilt."""
        return _codec().encode(self.target.schema, self.data)

    def to_c(
        self,
        era: str | None = None,
        quirks: Iterable[str | Quirk] = (),
        *,
        leave_out: bool = False,
    ) -> str:
        """A C program that does the same on the real thing and compares what calls return with the
        model of an era (default: the newest).

        leave_out  leave out what no C program can do, instead of an error

        Raises UsageError for a target without real calls, or an op that none can do.
        """
        try:
            to_c = self.target._part("repro", "to_c")
        except ModuleNotFoundError as error:
            if error.name != f"{self.target.package.__name__}.repro":
                raise
            raise UsageError(
                f"no C program can do what {self.target.name} does: the other side of it is no "
                f"system call; that can be said for {', '.join(_with_repro())}"
            ) from None
        result = self.target.execute(self, era, quirks, trace=True)
        return to_c(self, result, leave_out=leave_out)

    def op_text(self, index: int) -> str:
        """An op as text; -1 is the boot record, len(self) the shutdown after the last op."""
        if self._lines is None:
            self._lines = tuple(str(self).splitlines())
        if index == len(self.data.ops):
            return "shutdown"
        return self._lines[index + 1]

    def __str__(self) -> str:
        from vfuzz.program import text as _text

        return _text.format(self.target.schema, self.data)

    def __repr__(self) -> str:
        return f"<{self.target.name} program of {len(self)} ops>"

    def __len__(self) -> int:
        return len(self.data.ops)

    def __iter__(self) -> Iterator[Call]:
        return iter(self.ops)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Program):
            return NotImplemented
        return self.target is other.target and self.data == other.data

    def __hash__(self) -> int:
        return hash((self.target.name, self.data))


@dataclass(frozen=True)
class Result:
    """What became of executing a program.

    violation  the check that failed, or None
    steps      each op's observables; events: what happened to every object
    known      the documented finding that the violation is, or None
    """

    target: Target
    program: Program
    era: str
    quirks: tuple[str, ...]
    violation: Violation | None
    raw_trace: tuple[list[dict[str, Any]], list[tuple[Any, ...]] | None] | None = None

    @cached_property
    def _trace(self) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]] | None]:
        if self.raw_trace is not None:
            return self.raw_trace
        return self._again

    @cached_property
    def _again(self) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
        """The whole trace, from another run."""
        again = self.target.execute(self.program, self.era, self.quirks, trace=True)
        if again.violation != self.violation:  # the one promise that everything else rests on
            raise RuntimeError(
                f"{self.target.name}: the same program gave {self.violation} and then "
                f"{again.violation}: the model is not deterministic"
            )
        assert again.raw_trace is not None
        steps, events = again.raw_trace
        assert events is not None
        return steps, events

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Each op's observables, in order."""
        return tuple(
            Step(step["op"], self.program.op_text(step["op"]), tuple(map(tuple, step["obs"])))
            for step in self._trace[0]
        )

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Everything that happened to an object, in order."""
        events = self._trace[1]
        return tuple(Event(*event) for event in (self._again[1] if events is None else events))

    @property
    def known(self) -> Known | None:
        """The documented finding of this era that the violation is, if it is one."""
        if self.violation is None:
            return None
        for known in self.target.known(self.era):
            if known.signature == self.violation.signature:
                return known
        return None

    def report(self) -> str:
        """The violation in the shape of an AddressSanitizer report; one line when there is none."""
        from vfuzz.sanitizer import report as _report

        if self.violation is None:
            return f"vfuzz: {self.target.name}, {self.era}: no violation\n"
        return _report.render(self)

    def trace_text(self) -> str:
        """The run step by step: each op, its observables, and the events inside it."""
        from vfuzz.sanitizer import report as _report

        return _report.render_trace(self)

    def to_json(self, *, trace: bool = False) -> dict[str, Any]:
        """Everything as plain data. Steps and events only with trace=True."""
        violation, known = self.violation, self.known
        out: dict[str, Any] = {
            "target": self.target.name,
            "era": self.era,
            "quirks": list(self.quirks),
            "program": str(self.program),
            "violation": None,
        }
        if violation is not None:
            out["violation"] = {
                "signature": violation.signature,
                "check": violation.check,
                "title": violation.title,
                "site": violation.site,
                "op": violation.op,
                "op_text": self.program.op_text(violation.op),
                "message": violation.message,
                "obj": violation.obj,
                "obj_id": violation.obj_id,
                "known": known.doc if known else None,
            }
        if trace:
            out["steps"] = [
                {"op": step.op, "text": step.text, "obs": [list(pair) for pair in step.obs]}
                for step in self.steps
            ]
            out["events"] = [
                {
                    "op": event.op,
                    "what": event.what,
                    "obj": event.obj,
                    "obj_id": event.obj_id,
                    "a": event.a,
                    "b": event.b,
                    "site": event.site,
                }
                for event in self.events
            ]
        return out


def _codec() -> ModuleType:
    try:
        from vfuzz.program import codec
    except ImportError as error:
        raise NotBuilt(
            f"vfuzz.program.codec does not load ({error}); build it with "
            f"'python setup.py build_ext --inplace' in the source, or 'pip install .'",
            name="vfuzz.program.codec",
        ) from error
    return codec
