# SPDX-License-Identifier: GPL-2.0-or-later
"""A violation as text, in the shape of an AddressSanitizer report, and a run as a step-by-step
trace.

The shape is what people know and what ClusterFuzz-like tools parse: an ERROR line with the class
and an address, a stack with frame #0 in the model, a SUMMARY line. Two things are not what they
are in ASan: the address is the number of the object in this run, and the lines are those of the
model's source.

The text depends on the result alone, so the same program gives the same report on every machine.
docs/reports.md explains each line to a reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vfuzz.program.schema import FAIL_CLASSES

if TYPE_CHECKING:
    from vfuzz.api import Event, Result

__all__ = ["FIELDS", "HOLDERS", "Location", "Sources", "render", "render_trace", "sources_of"]

#: Who can hold a reference, in the order of the H_* constants of sim/memory.pxi.
HOLDERS = (
    "driver", "ring", "page_frag", "skb", "free list", "dma record", "kernel", "xdp frame",
)

#: (event, kind of object) -> meaning of its two numbers, "" for a number without one; the kind ""
#: stands for all kinds that are not listed. "frame" names another object, whose history belongs to
#: the report too.
FIELDS: dict[tuple[str, str], tuple[str, str]] = {
    ("alloc", ""): ("size", "holder"),
    ("alloc", "skb"): ("frame", "size"),
    ("chunk", "xsk"): ("place", ""),
    ("deliver", "skb"): ("length", "truesize"),
    ("destroy", "pool"): ("in flight", ""),
    ("disable", ""): ("", ""),
    ("drop", "buffer"): ("frame", "offset"),
    ("enable", ""): ("", ""),
    ("fault", "fault"): ("class", ""),
    ("frag", "skb"): ("frame", "offset"),
    ("free", ""): ("", ""),
    ("get", ""): ("holder", "refcount"),
    ("get", "eventfd"): ("refcount", ""),
    ("kick", "queue"): ("ready", ""),
    ("kick", "virtqueue"): ("avail_idx", "num_free"),
    ("map", "mapping"): ("frame", "size"),
    ("move", ""): ("from", "to"),
    ("post", "buffer"): ("offset", "size"),
    ("put", ""): ("holder", "refcount"),
    ("put", "eventfd"): ("refcount", ""),
    ("refill", "pool"): ("cached", ""),
    ("schedule", ""): ("", ""),
    ("send", "message"): ("type", ""),
    ("signal", "eventfd"): ("count", ""),
    ("take", "buffer"): ("frame", "size"),
    ("unmap", "mapping"): ("frame", "size"),
    ("use", "origin"): ("used", "written"),
}

#: Kinds of object that are frames: "frame 12" is one of these, and the numbers are shared.
FRAME_KINDS = ("page", "skb head", "kmalloc")

HISTORY_HEAD = 8  # events of a long history that are kept at its beginning
HISTORY_TAIL = 24  # and at its end
LINKED_MAX = 3  # other objects whose history is shown

_RULER = "=" * 65


class Location(NamedTuple):
    """A place in the model's source, the path as a person in the source tree would write it."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Sources:
    """Finds the line of a site: its label stands in the source as a byte string, once.

    directories  where to look for .pyx, .pxi and .pxd files, in order of precedence
    """

    def __init__(self, directories: Iterable[tuple[Path, Path]]) -> None:
        self._directories = tuple(directories)
        self._index: dict[str, Location] | None = None

    def find(self, site: str) -> Location | None:
        """The first line with the literal b"site", or None when the source is not at hand."""
        if self._index is None:
            self._index = self._build()
        return self._index.get(site)

    def _build(self) -> dict[str, Location]:
        index: dict[str, Location] = {}
        label = re.compile(r"""b(["'])([^"'\\\s]+)\1""")
        for directory, root in self._directories:
            files = (p for p in directory.rglob("*") if p.suffix in (".pyx", ".pxi", ".pxd"))
            for path in sorted(files):
                shown = path.relative_to(root).as_posix()
                text = path.read_text(encoding="utf-8", errors="replace")
                for number, line in enumerate(text.splitlines(), 1):
                    for match in label.finditer(line):
                        index.setdefault(match[2], Location(shown, number))
        return index


@cache
def sources_of(package: str) -> Sources:
    """The sources of a target package and of the simulator that it includes."""
    import importlib.util

    directories = []
    for name in (package, "vfuzz.sim"):
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            spec = None
        for place in (spec.submodule_search_locations or ()) if spec else ():
            directory = Path(place)
            directories.append((directory, directory.parents[name.count(".")]))
    return Sources(directories)


def render(result: Result) -> str:
    """The report of a result that has a violation."""
    violation = result.violation
    assert violation is not None, "only a violation has a report"
    target, program = result.target, result.program
    check = target.check(violation.check)
    function = violation.site.partition(":")[0]
    where = sources_of(target.package.__name__).find(violation.site)
    quirks = f", quirks {', '.join(result.quirks)}" if result.quirks else ""
    place = str(where) if where else f"({target.package.__name__})"
    lines = [
        _RULER,
        f"==vfuzz== ERROR: VirtFuzzSanitizer: {violation.title} on "
        f"{_address(violation.obj, violation.obj_id)} (check {check.id}) in {function}",
        violation.message,
        f"{_during(result, violation.op)}, target {target.name}, {result.era}{quirks}",
        f"    #0 0x{violation.op + 1:012x} in {function} {place}",
        "",
        f"Rule {check.id}: {check.rule}",
        f"  from {check.source}",
    ]
    if result.known is not None:
        lines += [f"Known in {result.era}: {result.known.summary}", f"  see {result.known.doc}"]
    lines += _histories(result)
    lines += ["", f"Program, {len(program)} ops:", f"       {program.op_text(-1)}"]
    for index in range(len(program)):
        mark = "=>" if index == violation.op else "  "
        lines.append(f"{mark} {index:3d} {program.op_text(index)}")
    if violation.op == len(program):
        lines.append(f"=> {len(program):3d} shutdown")
    lines += [
        "",
        f"Signature: {violation.signature}",
        f"SUMMARY: VirtFuzzSanitizer: {violation.title} {place} in {function}",
    ]
    return "\n".join(lines) + "\n"


def render_trace(result: Result) -> str:
    """Each op with its observables and what happened to objects during it, then the verdict."""
    sources = sources_of(result.target.package.__name__)
    by_op: dict[int, list[Event]] = {}
    for event in result.events:
        by_op.setdefault(event.op, []).append(event)
    last = result.violation.op if result.violation else len(result.program)
    quirks = f", quirks {', '.join(result.quirks)}" if result.quirks else ""
    lines = [f"{result.target.name}, {result.era}{quirks}"]
    for step in result.steps:
        if step.op > last:
            break
        lines.append(f"{'boot' if step.op < 0 else step.op:>4} {step.text}")
        for event in by_op.get(step.op, ()):
            lines.append(f"       {_event_text(event)}{_at(event, sources)}")
        for name, value in step.obs:
            lines.append(f"       = {name} {value}")
    lines.append(f"     {result.violation}" if result.violation else "     no violation")
    return "\n".join(lines) + "\n"


def _address(obj: str, obj_id: int) -> str:
    # ASan has an address here and parsers expect one; the object's number is stable, no address is.
    if not obj:
        return "unknown address 0x000000000000"
    return f"address 0x{obj_id & 0xFFFFFFFFFFFF:012x}"


def _during(result: Result, op: int) -> str:
    if op < 0:
        return f"During boot: {result.program.op_text(-1)}"
    if op == len(result.program):
        return "During the shutdown after the last op"
    return f"During op {op} of {len(result.program)}: {result.program.op_text(op)}"


def _meaning(event: Event) -> tuple[str, str]:
    default = FIELDS.get((event.what, ""), ("a", "b"))
    return FIELDS.get((event.what, event.obj), default)


def _number(label: str, value: int) -> str:
    if label in ("holder", "from", "to") and 0 <= value < len(HOLDERS):
        return f"{label} {HOLDERS[value]}"
    if label == "class" and 0 <= value < len(FAIL_CLASSES):
        return f"class {FAIL_CLASSES[value]}"
    if label in ("a", "b"):
        return f"{label}={value}"
    return f"{label} {value}"


def _event_text(event: Event) -> str:
    numbers = zip(_meaning(event), (event.a, event.b), strict=True)
    told = ", ".join(_number(label, value) for label, value in numbers if label)
    return f"{event.what} {event.obj} {event.obj_id}{f' ({told})' if told else ''}"


def _at(event: Event, sources: Sources) -> str:
    where = sources.find(event.site)
    return f" in {event.site}{f' {where}' if where else ''}" if event.site else ""


def _linked(event: Event) -> Iterator[int]:
    for label, value in zip(_meaning(event), (event.a, event.b), strict=True):
        if label == "frame" and value > 0:
            yield value


def _is_object(event: Event, kind: str, number: int) -> bool:
    if event.obj_id != number:
        return False
    return event.obj in FRAME_KINDS if kind == "frame" else event.obj == kind


def _histories(result: Result) -> list[str]:
    """Who got and who put the object at fault, and the frames that its events name."""
    violation = result.violation
    assert violation is not None
    if not violation.obj:
        return []
    kind = "frame" if violation.obj in FRAME_KINDS else violation.obj
    own = [e for e in result.events if _is_object(e, kind, violation.obj_id)]
    lines = _history(result, f"{violation.obj} {violation.obj_id}", own)
    links = dict.fromkeys(n for event in reversed(own) for n in _linked(event))
    if kind == "frame":
        links.pop(violation.obj_id, None)
    for number in list(links)[:LINKED_MAX]:
        events = [e for e in result.events if _is_object(e, "frame", number)]
        if events:
            lines += _history(result, f"{events[0].obj} {number}, linked to it", events)
    return lines


def _history(result: Result, title: str, events: list[Event]) -> list[str]:
    sources = sources_of(result.target.package.__name__)
    lines = ["", f"History of {title}, who got it and who put it:"]
    if not events:
        return [*lines, "  nothing was recorded"]
    shown = events
    if len(events) > HISTORY_HEAD + HISTORY_TAIL:
        shown = events[:HISTORY_HEAD] + events[-HISTORY_TAIL:]
    op: int | None = None
    for index, event in enumerate(shown):
        if len(shown) < len(events) and index == HISTORY_HEAD:
            lines.append(f"  ... {len(events) - len(shown)} more ...")
            op = None
        if event.op != op:
            op = event.op
            name = "boot" if op < 0 else "" if op == len(result.program) else f"op {op}"
            lines.append(f"  {f'{name} {result.program.op_text(op)}'.strip()}")
        lines.append(f"    {_event_text(event)}{_at(event, sources)}")
    return lines
