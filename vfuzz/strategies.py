# SPDX-License-Identifier: GPL-2.0-or-later
"""Hypothesis strategies for the programs of a target.

    from hypothesis import given
    import vfuzz
    from vfuzz.strategies import programs

    @given(programs("virtio-net-rx"))
    def test_my_property(program):
        assert vfuzz.target("virtio-net-rx").execute(program).violation is None

A failing program shrinks towards fewer ops with default arguments. Hypothesis is only needed when a
function is called.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vfuzz.program.schema import FAIL_CLASSES, FAIL_NTH_MAX, Arg, Fail, OpCall, ProgramData, Schema

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from vfuzz.api import Program, Target

__all__ = ["programs", "raw_bytes"]


def _hypothesis() -> ModuleType:
    try:
        import hypothesis.strategies
    except ImportError as error:
        raise ImportError(
            "vfuzz.strategies needs Hypothesis: install it with 'pip install hypothesis'"
        ) from error
    return hypothesis.strategies


def _resolve(target: Target | Schema | str) -> tuple[Schema, Target | None]:
    if isinstance(target, Schema):
        return target, None
    if isinstance(target, str):
        import vfuzz

        target = vfuzz.target(target)
    if not isinstance(getattr(target, "schema", None), Schema):
        raise TypeError(f"expected a target, its name or a Schema, got {target!r}")
    return target.schema, target


def _value(st: ModuleType, arg: Arg) -> SearchStrategy[int]:
    # The default comes first, since shrinking goes to the first of what is sampled.
    known = dict.fromkeys((arg.default, arg.lo, *arg.interesting, arg.hi))
    if arg.kind != "flags":
        return st.sampled_from(tuple(known)) | st.integers(arg.lo, arg.hi)
    bits = [1 << bit for bit, name in enumerate(arg.names) if name is not None]

    def spread(dense: int) -> int:
        return sum(bit for place, bit in enumerate(bits) if dense >> place & 1)

    return st.sampled_from(tuple(known)) | st.integers(0, (1 << len(bits)) - 1).map(spread)


def _values(st: ModuleType, args: tuple[Arg, ...]) -> SearchStrategy[tuple[int, ...]]:
    if not args:
        return st.just(())
    each = [_value(st, arg) for arg in args]
    some = st.integers(0, (1 << len(args)) - 1)

    # One number says which arguments are drawn at all: drawing each is several times slower.
    @st.composite
    def values(draw: Callable[[SearchStrategy[int]], int]) -> tuple[int, ...]:
        drawn = draw(some)
        return tuple(
            draw(each[place]) if drawn >> place & 1 else arg.default
            for place, arg in enumerate(args)
        )

    return values()


def _fails(st: ModuleType) -> SearchStrategy[Fail | None]:
    classes = st.integers(0, len(FAIL_CLASSES) - 1)
    return st.none() | st.builds(Fail, st.integers(1, FAIL_NTH_MAX), classes, st.booleans())


def _program_data(st: ModuleType, schema: Schema, max_ops: int) -> SearchStrategy[ProgramData]:
    kinds = st.integers(0, len(schema.ops) - 1)
    values = [_values(st, op.args) for op in schema.ops]
    fails = _fails(st)

    @st.composite
    def calls(draw: Callable[[SearchStrategy[Any]], Any]) -> OpCall:
        kind = draw(kinds)
        return OpCall(kind, draw(values[kind]), draw(fails))

    ops = st.lists(calls(), max_size=max_ops).map(tuple)
    return st.builds(ProgramData, _values(st, schema.boot), ops)


def _checked_max_ops(schema: Schema, max_ops: int | None) -> int:
    if max_ops is None:
        return schema.max_ops
    if not 0 <= max_ops <= schema.max_ops:
        raise ValueError(
            f"max_ops {max_ops} is outside 0..{schema.max_ops}, what {schema.target} takes"
        )
    return max_ops


def programs(
    target: Target | Schema | str, *, max_ops: int | None = None
) -> SearchStrategy[Program] | SearchStrategy[ProgramData]:
    """Valid programs of a target.

    target   a vfuzz.Target or its name, for vfuzz.Program; or a Schema, for bare ProgramData
    max_ops  at most so many ops; the schema's limit when not given
    """
    st = _hypothesis()
    schema, owner = _resolve(target)
    data = _program_data(st, schema, _checked_max_ops(schema, max_ops))
    return data if owner is None else data.map(owner.program)


def raw_bytes(
    target: Target | Schema | str, *, max_ops: int | None = None
) -> SearchStrategy[bytes]:
    """Byte strings as a fuzzer gives them to a target: any length, valid records and invalid ones.

    max_ops  bounds the length, in records; the schema's limit when not given
    """
    st = _hypothesis()
    schema, _ = _resolve(target)
    max_ops = _checked_max_ops(schema, max_ops)
    # Single bytes shrink well but hardly ever make a long input, so whole records are drawn too.
    # The kind of an op is its first byte, and small kinds are the valid ones.
    op = st.builds(
        lambda kind, rest: bytes([kind]) + rest,
        st.integers(0, len(schema.ops) - 1) | st.integers(0, 255),
        st.binary(min_size=schema.record_size - 1, max_size=schema.record_size - 1),
    )
    boot = st.binary(min_size=schema.record_size, max_size=schema.record_size)
    records = st.builds(
        lambda head, ops, tail: head + b"".join(ops) + tail,
        boot,
        st.lists(op, max_size=max_ops),
        st.binary(max_size=schema.record_size - 1),
    )
    return st.binary(max_size=schema.record_size * (max_ops + 1)) | records
