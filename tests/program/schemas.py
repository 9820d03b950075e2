# SPDX-License-Identifier: GPL-2.0-or-later
"""Hypothesis strategies for whole schemas, so that the codec is not only tested on the sample."""

from hypothesis import strategies as st

from vfuzz.program.schema import MAX_ARGS, MAX_BOOT, MAX_OPS, Arg, Op, Schema

_WIDTHS = (1, 2, 4)


@st.composite
def _int_args(draw, name: str) -> Arg:
    width = draw(st.sampled_from(_WIDTHS))
    bounds = st.integers(0, (1 << 8 * width) - 1)
    lo, hi = sorted((draw(bounds), draw(bounds)))
    default = draw(st.integers(lo, hi))
    values = st.lists(st.integers(lo, hi), max_size=3).map(tuple)
    role = draw(st.sampled_from(("", "length", "index", "count")))
    return Arg(name, "int", lo, hi, (), default, width, interesting=draw(values), role=role)


@st.composite
def _enum_args(draw, name: str) -> Arg:
    n = draw(st.sampled_from((1, 2, 3, 7, 256, 257)))
    return Arg(name, "enum", names=tuple(f"N{i}" for i in range(n)), default=f"N{n - 1}")


@st.composite
def _flags_args(draw, name: str) -> Arg:
    bits = draw(st.sets(st.integers(0, 31), min_size=1))
    names = tuple(f"B{i}" if i in bits else None for i in range(max(bits) + 1))
    return Arg(name, "flags", names=names, default=f"B{min(bits)}")


def _bool_args(name: str) -> st.SearchStrategy[Arg]:
    return st.builds(Arg, st.just(name), st.just("bool"), default=st.integers(0, 1))


@st.composite
def _arg_lists(draw, most: int, room: int) -> tuple[Arg, ...]:
    """As many of the drawn arguments as fit in `room` bytes."""
    args: list[Arg] = []
    for place in range(draw(st.integers(0, most))):
        kinds = (_int_args, _enum_args, _flags_args, _bool_args)
        arg = draw(draw(st.sampled_from(kinds))(f"a{place}"))
        if sum(a.width for a in args) + arg.width <= room:
            args.append(arg)
    return tuple(args)


@st.composite
def schemas(draw) -> Schema:
    """Valid schemas of any shape, small more often than large."""
    record_size = draw(st.sampled_from((4, 16, 17, 64)))
    n_ops = draw(st.sampled_from((1, 2, 3, MAX_OPS)))
    shapes = [draw(_arg_lists(MAX_ARGS, record_size - 2)) for _ in range(min(n_ops, 3))]
    ops = tuple(Op(f"op{i}", shapes[i % len(shapes)], weight=1 + i % 3) for i in range(n_ops))
    boot = draw(_arg_lists(MAX_BOOT, record_size))
    max_ops = draw(st.sampled_from((1, 2, 40, 64)))
    return Schema("random", boot, ops, record_size, max_ops)
