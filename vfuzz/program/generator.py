# SPDX-License-Identifier: GPL-2.0-or-later
"""Random programs, from the schema alone.

This is for seeds, tests and tools; while fuzzing, the native mutator makes its own. The two share
one idea: an argument is mostly at its default, and where it is not, it is mostly at a value where
code changes its mind, rarely just anywhere.
"""

from __future__ import annotations

from random import Random

from vfuzz.program.schema import FAIL_CLASSES, FAIL_NTH_MAX, Arg, Fail, OpCall, ProgramData, Schema

__all__ = ["generate", "generate_op", "generate_value"]


def _small(rng: Random) -> int:
    """0 with odds 1/2, 1 with 1/4, and so on."""
    n = 0
    while rng.random() < 0.5:
        n += 1
    return n


def _int_value(arg: Arg, rng: Random) -> int:
    pick = rng.randrange(8)
    if arg.role == "index":
        value = arg.lo + _small(rng) if pick else rng.randint(arg.lo, arg.hi)
    elif pick < 3 and arg.interesting:
        value = rng.choice(arg.interesting)
    elif pick == 3:
        value = rng.choice((arg.lo + _small(rng), arg.hi - _small(rng)))
    elif pick == 4:
        value = arg.default + rng.randint(-16, 16)
    elif pick == 5:
        value = (1 << rng.randrange(arg.hi.bit_length() + 1)) + rng.randint(-1, 1)
    elif pick == 6:
        value = arg.lo + rng.getrandbits(rng.randrange(arg.span.bit_length()) + 1)
    else:
        value = rng.randint(arg.lo, arg.hi)
    return min(max(value, arg.lo), arg.hi)


def generate_value(arg: Arg, rng: Random) -> int:
    """A valid value of an argument."""
    if arg.kind == "int":
        return _int_value(arg, rng)
    if arg.kind == "flags":
        bits = [1 << bit for bit, name in enumerate(arg.names) if name is not None]
        value = rng.choice((0, arg.default, arg.hi, rng.getrandbits(32) & arg.hi))
        return value ^ rng.choice(bits) if rng.random() < 0.5 else value
    return rng.randint(arg.lo, arg.hi)


def _values(args: tuple[Arg, ...], rng: Random) -> tuple[int, ...]:
    varied = rng.choice((0.0, 0.3, 0.3, 0.6, 1.0))
    return tuple(generate_value(arg, rng) if rng.random() < varied else arg.default for arg in args)


def _fail(rng: Random) -> Fail:
    nth = min(1 + _small(rng), FAIL_NTH_MAX)
    cls = rng.randrange(len(FAIL_CLASSES)) if rng.random() < 0.5 else 0
    return Fail(nth, cls, rng.random() < 0.1)


def generate_op(schema: Schema, rng: Random) -> OpCall:
    """One op, its kind picked by weight."""
    kind = rng.choices(range(len(schema.ops)), [op.weight for op in schema.ops])[0]
    fail = _fail(rng) if rng.random() < 0.05 else None
    return OpCall(kind, _values(schema.ops[kind].args, rng), fail)


def generate(schema: Schema, rng: Random, *, n_ops: int | None = None) -> ProgramData:
    """A valid program; the same state of `rng` gives the same one.

    n_ops  how many ops, at most schema.max_ops; random when not given
    """
    if n_ops is None:
        n_ops = rng.randint(1, schema.max_ops)
    if not 0 <= n_ops <= schema.max_ops:
        raise ValueError(f"n_ops {n_ops} is outside 0..{schema.max_ops}")
    boot = _values(schema.boot, rng)
    return ProgramData(boot, tuple(generate_op(schema, rng) for _ in range(n_ops)))
