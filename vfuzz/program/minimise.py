# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a program smaller while a predicate stays true.

The predicate is asked about whole programs and says yes when a program still shows what matters,
for instance the same violation. Passes run over the program until none of them changes it:

    drop   leave out ranges of ops: halves, quarters, ..., single ops, and at last pairs
    fail   leave out fail properties, else make them the plainest: fail(1), any class, once
    args   put arguments to their default, else to their lowest value, else as low as they go
    boot   the same for the boot record

A candidate that was tried is not tried again. The result is a local minimum: no single one of the
changes above keeps the predicate true.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from vfuzz.program.schema import Arg, Fail, OpCall, ProgramData, Schema

__all__ = ["MinimiseStats", "minimise"]

Predicate = Callable[[ProgramData], bool]

#: Pairs are quadratic; above this many ops they are not worth their tries.
_PAIRS_OPS_MAX = 24


@dataclass(slots=True)
class MinimiseStats:
    """What a minimisation did.

    tries       calls of the predicate, by pass: "check" (the given program), "drop", "fail",
                "args", "boot"
    kept        the tries that made the program smaller, by pass
    repeated    candidates that were left out because they had been tried
    ops_before, ops_after
    seconds     wall time
    finished    False when the deadline or max_tries ended it before a local minimum
    """

    tries: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    ops_before: int = 0
    ops_after: int = 0
    seconds: float = 0.0
    finished: bool = False

    @property
    def total_tries(self) -> int:
        """Calls of the predicate."""
        return sum(self.tries.values())


class _SpentError(Exception):
    """The deadline has passed, or max_tries is used up."""


class _Minimiser:
    def __init__(
        self,
        schema: Schema,
        program: ProgramData,
        predicate: Predicate,
        deadline: float | None,
        max_tries: int,
    ) -> None:
        self.schema = schema
        self.best = program
        self.predicate = predicate
        self.deadline = deadline
        self.max_tries = max_tries
        self.stats = MinimiseStats(ops_before=len(program.ops))
        self.tried: set[int] = set()

    def holds(self, what: str, candidate: ProgramData) -> bool:
        """Ask the predicate, unless this candidate was refused before."""
        key = hash(candidate)
        if key in self.tried:
            self.stats.repeated += 1
            return False
        if self.stats.total_tries >= self.max_tries:
            raise _SpentError
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise _SpentError
        self.tried.add(key)
        self.stats.tries[what] = self.stats.tries.get(what, 0) + 1
        return bool(self.predicate(candidate))

    def keep_if(self, what: str, candidate: ProgramData) -> bool:
        """Make a candidate the best program if the predicate holds for it."""
        if not self.holds(what, candidate):
            return False
        self.best = candidate
        self.stats.kept[what] = self.stats.kept.get(what, 0) + 1
        return True

    def run(self) -> None:
        before = None
        while before != self.best:
            before = self.best
            self.drop_ranges()
            self.plain_fails()
            self.plain_boot()
            self.plain_args()
            if before == self.best:
                self.drop_pairs()

    # -- ops

    def drop_ranges(self) -> None:
        size = len(self.best.ops)
        while size:
            # From the end: what follows the interesting op goes first, and at once.
            end = len(self.best.ops)
            while end > 0:
                start = max(end - size, 0)
                ops = self.best.ops
                self.keep_if("drop", replace(self.best, ops=ops[:start] + ops[end:]))
                end = start
            size //= 2

    def drop_pairs(self) -> None:
        """Two ops that only go together, such as taking something and giving it back."""
        if len(self.best.ops) > _PAIRS_OPS_MAX:
            return
        second = len(self.best.ops) - 1
        while second > 0:
            for first in range(second - 1, -1, -1):
                ops = self.best.ops
                kept = ops[:first] + ops[first + 1 : second] + ops[second + 1 :]
                if self.keep_if("drop", replace(self.best, ops=kept)):
                    second -= 1  # everything behind `first` moved one place down
                    break
            second -= 1

    # -- fail properties

    def with_op(self, place: int, call: OpCall) -> ProgramData:
        ops = self.best.ops
        return replace(self.best, ops=(*ops[:place], call, *ops[place + 1 :]))

    def plain_fails(self) -> None:
        for place in range(len(self.best.ops)):
            changed = True
            while changed and self.best.ops[place].fail is not None:
                call = self.best.ops[place]
                changed = any(
                    self.keep_if("fail", self.with_op(place, replace(call, fail=fail)))
                    for fail in _plainer_fails(call.fail)
                )

    # -- arguments

    def plain_boot(self) -> None:
        for place, arg in enumerate(self.schema.boot):

            def put(value: int, place: int = place) -> bool:
                boot = self.best.boot
                candidate = (*boot[:place], value, *boot[place + 1 :])
                return self.keep_if("boot", replace(self.best, boot=candidate))

            _plain_value(arg, self.best.boot[place], put)

    def plain_args(self) -> None:
        for op_place, call in enumerate(self.best.ops):
            for place, arg in enumerate(self.schema.ops[call.kind].args):

                def put(value: int, op_place: int = op_place, place: int = place) -> bool:
                    call = self.best.ops[op_place]
                    args = (*call.args[:place], value, *call.args[place + 1 :])
                    return self.keep_if("args", self.with_op(op_place, replace(call, args=args)))

                _plain_value(arg, self.best.ops[op_place].args[place], put)


def _plainer_fails(fail: Fail) -> Iterator[Fail | None]:
    yield None
    if fail.all:
        yield replace(fail, all=False)
    if fail.cls:
        yield replace(fail, cls=0)
    for nth in range(1, fail.nth):
        yield replace(fail, nth=nth)


def _plain_value(arg: Arg, value: int, put: Callable[[int], bool]) -> None:
    """Bring one argument down. `put` tries a value and says whether it stays."""
    if value == arg.default or put(arg.default):
        return
    if arg.kind == "flags":
        _plain_flags(arg, value, put)
    elif arg.kind == "enum":
        # A lower name is no simpler in itself; taking the first that will do makes findings alike.
        any(put(lower) for lower in range(value) if lower != arg.default)
    elif value != arg.lo and not put(arg.lo):
        _lower(arg.lo, value, put)


def _plain_flags(arg: Arg, value: int, put: Callable[[int], bool]) -> None:
    """Take back the bits in which the value differs from the default, one by one."""
    left = value
    for bit in range(32):
        if (left ^ arg.default) >> bit & 1 and put(left ^ 1 << bit):
            left ^= 1 << bit


def _lower(refused: int, value: int, put: Callable[[int], bool]) -> None:
    """Search the lowest value that will do, between one that will not and one that does."""
    while value - refused > 1:
        middle = (refused + value) // 2
        if put(middle):
            value = middle
        else:
            refused = middle


def minimise(
    schema: Schema,
    program: ProgramData,
    predicate: Predicate,
    *,
    deadline_s: float | None = None,
    max_tries: int = 100_000,
) -> tuple[ProgramData, MinimiseStats]:
    """The smallest program found for which the predicate still holds, and how it was found.

    predicate   says of a program whether it still shows what matters; called once per candidate
    deadline_s  seconds after which the best program so far is taken
    max_tries   calls of the predicate after which the best program so far is taken

    Raises InvalidProgram, and ValueError when the predicate does not hold for `program` itself.
    """
    schema.validate(program)
    started = time.monotonic()
    deadline = None if deadline_s is None else started + deadline_s
    work = _Minimiser(schema, program, predicate, deadline, max_tries)
    stats = work.stats
    try:
        if not work.holds("check", program):
            raise ValueError(
                "the predicate does not hold for the program to minimise: check that it runs with "
                "the same era and quirks as when the program was found"
            )
        work.run()
        stats.finished = True
    except _SpentError:
        pass
    stats.ops_after = len(work.best.ops)
    stats.seconds = time.monotonic() - started
    return work.best, stats
