# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a program smaller without changing its violation: the same signature, in the same era."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vfuzz.api import Program, Target
from vfuzz.program.schema import ProgramData

__all__ = ["Shrunk", "shrink"]


@dataclass(frozen=True)
class Shrunk:
    """A smaller program with the same violation.

    tries     candidates that were executed
    seconds   time that it took
    finished  False when the deadline cut it short: a longer one may give less
    """

    program: Program
    tries: int
    seconds: float
    finished: bool


def shrink(
    program: Program,
    era: str,
    quirks: Iterable[str],
    signature: str,
    *,
    deadline_s: float | None = None,
) -> Shrunk:
    """The smallest program that op-level minimisation reaches with the same signature.

    The program itself must show the signature. Raises NotBuilt, UnknownName, UsageError.
    """
    from vfuzz.program import codec
    from vfuzz.program.minimise import minimise

    target = program.target
    era_index = target.era_index(era)
    mask = target.quirk_mask(tuple(quirks), era)
    execute, encode, schema = target.core.execute, codec.encode, target.schema
    wanted = _parts(target, signature)

    def same(candidate: ProgramData) -> bool:
        raw = execute(encode(schema, candidate), era_index, mask)["violation"]
        return raw is not None and (raw["check"], raw["site"]) == wanted

    smaller, stats = minimise(schema, program.data, same, deadline_s=deadline_s)
    return Shrunk(Program(target, smaller), stats.total_tries, stats.seconds, stats.finished)


def _parts(target: Target, signature: str) -> tuple[int, str]:
    check, _, site = signature.partition("@")
    return target.checks.index(target.check(check)), site
