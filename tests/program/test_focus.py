# SPDX-License-Identifier: GPL-2.0-or-later
"""A focus narrows what is made, never what a program means."""

from __future__ import annotations

from random import Random

import pytest

import vfuzz
from tests.needs import need
from vfuzz.engine import inputs
from vfuzz.errors import UnknownName
from vfuzz.program.generator import generate
from vfuzz.program.schema import Arg, Focus, Op, Schema

codec = need("vfuzz.program.codec")
mutator = need("vfuzz.program.mutator")

ARGS = (
    Arg("mode", "enum", names=("a", "b", "c"), default="c"),
    Arg("bits", "flags", names=("X", "Y", "Z"), default="X|Z"),
    Arg("n", "int", 0, 9, default=5, interesting=(1, 8)),
)
OPS = (Op("one"), Op("two", weight=3), Op("three"))
FOCUS = Focus("f", ops=("two",), boot={"mode": ("a", "b"), "bits": ("Y", "Z"), "n": (8, 9)})
SCHEMA = Schema("t", ARGS, OPS, focuses=(FOCUS,))

ALL = [(target, focus) for target in vfuzz.targets() for focus in target.schema.focuses]
every_focus = pytest.mark.parametrize(
    ("target", "focus"), ALL, ids=[f"{target} {focus.name}" for target, focus in ALL]
)


def test_ops_outside_have_no_weight_and_arguments_keep_their_places():
    focused = SCHEMA.focused("f")
    assert [op.weight for op in focused.ops] == [0, 3, 0]
    mode, bits, n = focused.boot
    assert (mode.lo, mode.hi, mode.default) == (0, 1, 0)
    assert (bits.names, bits.hi, bits.default) == ((None, "Y", "Z"), 6, 4)
    assert (n.lo, n.hi, n.default, n.interesting) == (8, 9, 8, (8,))
    assert [arg.width for arg in focused.boot] == [arg.width for arg in SCHEMA.boot]
    assert SCHEMA.ops == OPS


@pytest.mark.parametrize(
    ("focus", "message"),
    [
        (Focus("f", ops=("four",)), "focus f: there is no op 'four'"),
        (Focus("f", ops=("two",), boot={"mode": ("a", "c")}), "do not follow each other"),
        (Focus("f", ops=("two",), boot={"mode": ("d",)}), "mode has no 'd'"),
    ],
)
def test_a_focus_that_makes_no_sense_is_refused(focus, message):
    with pytest.raises(ValueError, match=message):
        Schema("t", ARGS, OPS, focuses=(focus,))


def test_an_unknown_focus_names_the_near_ones():
    with pytest.raises(UnknownName, match=r"unknown focus 'csun'.*did you mean csum"):
        vfuzz.target("virtio-net-rx").schema.focused("csun")


@every_focus
def test_a_focus_is_on_eras_of_its_target(target, focus):
    assert set(focus.eras) < set(target.eras)


@every_focus
def test_what_is_made_in_a_focus_is_a_program_of_the_target(target, focus):
    schema = target.schema.focused(focus.name)
    kinds = {target.schema.kinds[name] for name in focus.ops}
    rng = Random(1)
    for _ in range(200):
        program = generate(schema, rng)
        assert {op.kind for op in program.ops} <= kinds
        assert target.schema.problems(program) == []
        # and both schemas read its bytes alike
        data = codec.encode(target.schema, program)
        assert codec.encode(schema, program) == data
        assert codec.decode(schema, data) == codec.decode(target.schema, data) == program


@every_focus
def test_the_mutator_keeps_to_a_focus(target, focus):
    schema = target.schema.focused(focus.name)
    kinds = {target.schema.kinds[name] for name in focus.ops}
    limit = schema.record_size * (schema.max_ops + 1)
    data = codec.encode(schema, generate(schema, Random(2), n_ops=3))
    seen = set()
    for seed in range(1, 1500):
        data = mutator.mutate_bytes(schema, data, seed=seed, max_size=limit)
        program = codec.decode(target.schema, data)
        assert schema.problems(program) == []
        seen |= {op.kind for op in program.ops}
        if len(program.ops) > 24:
            data = codec.encode(schema, generate(schema, Random(seed), n_ops=3))
    assert seen <= kinds
    assert len(seen) > len(kinds) // 2


@every_focus
def test_seeds_of_a_focus_lie_in_it(target, focus):
    paths = inputs.seed_files(target, focus.name)
    assert set(paths) < set(inputs.seed_files(target))
    names = set(focus.ops)
    for path in paths:
        assert {op.name for op in inputs.read(path).program(target).ops} <= names
