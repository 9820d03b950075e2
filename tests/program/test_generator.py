# SPDX-License-Identifier: GPL-2.0-or-later
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.program.sample import SCHEMA
from tests.program.schemas import schemas
from vfuzz.program.generator import generate, generate_op, generate_value
from vfuzz.program.schema import Op, Schema


@given(schemas(), st.integers(0, 1 << 32))
def test_programs_are_valid_and_follow_the_seed(schema, seed):
    program = generate(schema, Random(seed))
    assert schema.problems(program) == []
    assert generate(schema, Random(seed)) == program


@pytest.mark.parametrize("n_ops", [0, 1, SCHEMA.max_ops])
def test_the_number_of_ops_can_be_asked_for(n_ops):
    assert len(generate(SCHEMA, Random(1), n_ops=n_ops).ops) == n_ops


def test_too_many_ops_are_refused():
    with pytest.raises(ValueError, match=r"n_ops 41 is outside 0\.\.40"):
        generate(SCHEMA, Random(1), n_ops=41)


def test_every_op_and_every_class_of_value_comes_up():
    rng = Random(7)
    programs = [generate(SCHEMA, rng) for _ in range(400)]
    assert {call.kind for p in programs for call in p.ops} == set(range(len(SCHEMA.ops)))
    fails = {call.fail for p in programs for call in p.ops if call.fail}
    assert {fail.cls for fail in fails} == {0, 1, 2, 3}
    assert {fail.all for fail in fails} == {False, True}
    sizes = {call.args[1] for p in programs for call in p.ops if call.kind == 1}
    assert {0, 60, 1514, 65550, 1500} <= sizes
    assert len(sizes) > 200


@pytest.mark.parametrize(
    "arg", [arg for op in SCHEMA.ops for arg in op.args] + [*SCHEMA.boot], ids=lambda arg: arg.name
)
def test_bounds_default_and_names_of_each_argument_come_up(arg):
    rng = Random(11)
    seen = {generate_value(arg, rng) for _ in range(5000)}
    assert {arg.lo, arg.hi, arg.default, *arg.interesting} <= seen
    if arg.kind == "flags":
        assert all(any(v >> bit & 1 for v in seen) for bit in range(32) if arg.hi >> bit & 1)
    elif arg.span <= 16:
        assert seen == set(range(arg.lo, arg.hi + 1))


def test_weights_are_odds_and_weight_0_is_never_picked():
    schema = Schema("t", (), (Op("often", weight=9), Op("seldom", weight=1), Op("no", weight=0)))
    rng = Random(5)
    kinds = [generate_op(schema, rng).kind for _ in range(5000)]
    assert 2 not in kinds
    assert 0.85 < kinds.count(0) / len(kinds) < 0.95
