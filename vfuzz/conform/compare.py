# SPDX-License-Identifier: GPL-2.0-or-later
"""One program, model and kernel: what was compared, and where they differ.

A divergence is the first observable that differs: what follows is its consequence. Its signature
names op, observable and both values where they are errors, so that one cause has one signature.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vfuzz.api import Program, Result
    from vfuzz.conform.kmemleak import Leak

__all__ = ["Divergence", "Row", "Verdict", "compare", "died", "said", "splat_of"]

#: The kernel's own words for what must not happen.
_SPLAT = re.compile(
    r"BUG: |WARNING: |KASAN|UBSAN|Oops|general protection|refcount_t|list_(?:add|del)"
    r"|kmemleak: (?!\d+ new suspected)"  # what it suspects it is asked for
    r"|possible recursive|INFO: |Kernel panic|Unable to handle|scheduling while atomic"
)
#: Observables that are counts: a difference has a direction.
COUNTS = ("pinned", "pins")
_NUMBERS = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+")


@dataclass(frozen=True)
class Row:
    """One step: what each side said, and whether it was compared."""

    op: int
    text: str
    model: Mapping[str, int] | None
    kernel: Mapping[str, int] | None
    differs: str | None = None  # the observable


@dataclass(frozen=True)
class Divergence:
    """The first difference of a program.

    op  its index; -1 is boot, one behind the last is the end
    """

    signature: str
    op: int
    op_text: str
    what: str
    model: str
    kernel: str
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What became of one program.

    rows         each step side by side, if there is a divergence
    compared     ops of which at least one observable was compared
    observables  how many were
    cut          the op at which the model found a violation: behind it nothing is compared
    violation    of the model: its signature, if the kernel did that op too and did not differ
    same         whether what the model said of that op before it ended is what the kernel said
    left         whether the kernel was left with charged pages or pins that nobody has
    lost         what kmemleak found of a program that the model ends with a violation: signatures
    site         the last place of the model that did something before they differed
    """

    program: Program
    rows: tuple[Row, ...]
    compared: int
    observables: int
    cut: int | None
    divergence: Divergence | None
    site: str | None = None
    violation: str | None = None
    same: bool = False
    left: bool = False
    lost: tuple[str, ...] = ()


def said(name: str, value: int | None) -> str:
    """A value for people: errors by name."""
    if value is None:
        return "-"
    if name == "ret" and value < 0:
        return errno.errorcode.get(-value, {524: "ENOTSUPP"}.get(-value, str(value)))
    if name in ("config", "value", "last"):
        return hex(value & (1 << 64) - 1)
    return str(value)


def _word(name: str, value: int) -> str:
    """A value in a signature: counts would make each program a kind of its own."""
    if name == "ret":
        return said(name, value) if value < 0 else "ok"
    return "other"


def splat_of(log: Sequence[str]) -> str | None:
    """The first line of a kernel's log that says that something is broken, without numbers."""
    for line in log:
        if _SPLAT.search(line):
            return _NUMBERS.sub("N", line.strip())
    return None


def _differ(op: int, name: str, text: str, what: str, model: int, kernel: int) -> Divergence:
    a, b = _word(what, model), _word(what, kernel)
    if a == b:
        a, b = ("more", "less") if model > kernel else ("less", "more")
        if what not in COUNTS and what != "ret":
            a, b = "one", "another"
    return Divergence(
        f"{name}.{what}: model {a}, kernel {b}", op, text, what, said(what, model),
        said(what, kernel),
    )  # fmt: skip


def compare(
    program: Program,
    result: Result,
    first: dict[str, int],
    seen: list[dict[str, int]],
    last: dict[str, int],
    log: tuple[str, ...],
    skipped: Container[int] = (),
    label: Callable[[int], str] | None = None,
    spoils: Container[str] = (),
    lost: Sequence[Leak] = (),
    told: Container[str] = (),
) -> Verdict:
    """Compare a traced result of the model with what the kernel said.

    first    observables of boot
    seen     each op's; fewer than the program has when the rest was not done
    last     those of the end
    log      lines of the kernel's log
    skipped  ops that the kernel did not do
    label    of an op, in signatures; default: its name
    spoils   checks whose violations are memory bugs: the kernel's log may say so too
    lost     what kmemleak found when all was done
    told     checks whose violations at the end say that something was not given back. Behind a
             violation within a program nothing is known of what the kernel should keep
    """
    trace = result.raw_trace
    assert trace is not None, "the result of a traced run"
    steps = {step["op"]: dict(step["obs"]) for step in trace[0]}
    cut = result.violation.op if result.violation is not None else None
    n = len(program)
    kernel = [first, *seen]
    if len(seen) == n:
        kernel.append(last)
    divergence = None
    observables = compared = 0
    for op, theirs in enumerate(kernel, -1):
        if divergence is not None or (cut is not None and op > cut):
            break
        ours = {} if op in skipped else steps.get(op, {})
        if "undefined" in ours:
            break  # the model met memory that nobody wrote: what a kernel does is chance
        if ours.items() <= theirs.items():  # as nearly always; else one after the other
            compared += bool(ours) and 0 <= op < n
            observables += len(ours)
            continue
        common = [what for what in ours if what in theirs]
        compared += bool(common) and 0 <= op < n
        observables += len(common)
        for what in common:
            if (ours[what] - theirs[what]) & (1 << 64) - 1:
                if 0 <= op < n:
                    name = label(op) if label is not None else program.ops[op].name
                else:
                    name = "boot" if op < 0 else "shutdown"
                divergence = _differ(op, name, program.op_text(op), what, ours[what], theirs[what])
                break
    splat = splat_of(log)
    foretold = (  # by the model, of an op that the kernel did: both found a memory bug there
        result.violation is not None and result.violation.check in spoils
        and cut is not None and cut < len(kernel) - 1
    )  # fmt: skip
    if splat is not None and divergence is None and not foretold:
        divergence = Divergence(f"log: {splat}", n, "the kernel's log", "log", "silent", splat, log)
    signatures = tuple(dict.fromkeys(leak.signature for leak in lost))
    broken = result.violation
    if lost and divergence is None and (
        broken is None or (broken.op >= n and broken.check not in told)
    ):  # fmt: skip
        words = tuple(line for leak in lost for line in leak.text)
        size = sum(leak.size for leak in lost)
        divergence = Divergence(signatures[0], n, "kmemleak", "lost", "nothing",
                                f"{size} bytes that nobody points at", words)  # fmt: skip
    if divergence is None:
        violation = None
        if cut is not None and cut < len(kernel) - 1 and cut not in skipped:
            violation = result.violation and result.violation.signature
        said_too = violation is not None and (bool(steps.get(cut)) or splat is not None)
        return Verdict(program, (), compared, observables, cut, None, None, violation, said_too,
                       bool(last.get("pinned") or last.get("pins")), signatures)  # fmt: skip
    rows = [
        Row(op, program.op_text(op), steps.get(op) or None, theirs,
            divergence.what if op == divergence.op else None)
        for op, theirs in enumerate(kernel, -1)
    ]  # fmt: skip
    sites = [event.site for event in result.events if event.op <= divergence.op and event.site]
    site = sites[-1] if sites else None
    return Verdict(program, tuple(rows), compared, observables, cut, divergence, site)


def died(
    program: Program, why: str, log: str, result: Result | None = None,
    spoils: Container[str] = (),
) -> Verdict:  # fmt: skip
    """The verdict on a program that ended or hung the guest. It is none where the kernel's log and
    the model's result both say that memory was spoilt (a check of `spoils`)."""
    lines = tuple(log.splitlines())
    splat = splat_of(lines)
    violation = result.violation if result is not None else None
    if splat is not None and violation is not None and violation.check in spoils:
        return Verdict(program, (), 0, 0, violation.op, None, None, violation.signature, True)
    splat = splat or why
    divergence = Divergence(f"guest: {splat}", len(program), "the guest", "guest", "goes on", why,
                            lines[-60:])  # fmt: skip
    return Verdict(program, (), 0, 0, None, divergence)


def plain(verdict: Verdict) -> dict[str, Any]:
    """A divergent verdict as plain data."""
    found = verdict.divergence
    assert found is not None
    return {
        "signature": found.signature,
        "op": found.op,
        "op_text": found.op_text,
        "what": found.what,
        "model": found.model,
        "kernel": found.kernel,
        "program": str(verdict.program),
        "steps": [
            {"op": row.op, "text": row.text, "model": row.model and dict(row.model),
             "kernel": row.kernel and dict(row.kernel), "differs": row.differs}
            for row in verdict.rows
        ],
        "log": list(found.log),
    }  # fmt: skip
