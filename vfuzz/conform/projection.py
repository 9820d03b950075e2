# SPDX-License-Identifier: GPL-2.0-or-later
"""What a target's module `real` says of a program: the same words for every target.

The module has
    project(program, era, quirks)   a Projection, or Impossible; it runs the model itself
    read(projection, answer)        the observables of an answer, as the model names them:
                                    what boot left, each op, what was there at the end
    guest_of(kernel, key)           a guest with the agent that knows these projections
    left_out(boot)                  ops that generated programs of that machine do not have
    calls_of, label, generated, BEGIN, MACHINE, SKIPPED, SPOILS, LEAKS, EXPLAINED
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from vfuzz.api import Program, Result
    from vfuzz.program.schema import Fail, Schema

__all__ = ["Calls", "Explained", "Impossible", "Observables", "Projection", "Step"]

#: What boot left, each op, what was there at the end.
Observables = tuple[dict[str, int], list[dict[str, int]], dict[str, int]]


class Impossible(Exception):
    """A program cannot be done on the real system: the reason."""


@dataclass(frozen=True)
class Explained:
    """A difference that is right, with the eras that have it.

    signature  of the divergence; era  a prefix of the eras' names, or ""
    """

    signature: str
    era: str
    reason: str


class Step(NamedTuple):
    """An op by name, without its text, which is slow to make."""

    name: str
    args: dict[str, int]
    fail: Fail | None


@dataclass(kw_only=True)
class Projection:
    """A program for the guest.

    key      arguments of the guest kernel: programs with the same key run in one boot
    payload  what the agent's run() takes
    program  what model and kernel both do: the real system may do more by itself than was asked
    calls    its ops by names
    result   of the model's traced run of it
    skipped  ops that the guest does not do, though what follows can be compared: {index: reason}
    cut      from this op on nothing can be compared, and why; None: all can be
    needs    a symbol that the kernel must have, or ""
    order    of programs that are done together: what is dear to change comes first in it
    """

    key: tuple[str, ...]
    payload: dict[str, Any]
    program: Program
    calls: Sequence[Step]
    result: Result
    skipped: dict[int, str] = field(default_factory=dict)
    cut: tuple[int, str] | None = None
    needs: str = ""
    order: tuple[Any, ...] = ()


class Calls:
    """The ops of a schema's programs, by names."""

    def __init__(self, schema: Schema) -> None:
        self._names = [(op.name, tuple(arg.name for arg in op.args)) for op in schema.ops]

    def named(self, kind: int, values: Sequence[int], fail: Fail | None = None) -> Step:
        """An op by its number; values behind its arguments are none of it."""
        name, args = self._names[kind]
        if len(values) > len(args):
            values = values[: len(args)]
        return Step(name, dict(zip(args, values, strict=True)), fail)

    def of(self, program: Program) -> list[Step]:
        """All of a program."""
        return [self.named(op.kind, op.args, op.fail) for op in program.data.ops]
