# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.program.sample import SCHEMA
from vfuzz.program import text
from vfuzz.program.generator import generate
from vfuzz.program.minimise import minimise
from vfuzz.program.schema import Arg, Fail, InvalidProgram, OpCall, ProgramData
from vfuzz.strategies import programs


def parse(*lines: str) -> ProgramData:
    return text.parse(SCHEMA, "\n".join(lines))


# -- predicates: what a bug may need


def needs(kind: int, place: int, value: int, how: str):
    """Some op of a kind has an argument at least, at most, exactly or with all bits of a value."""
    test = {
        "ge": lambda v: v >= value,
        "le": lambda v: v <= value,
        "eq": lambda v: v == value,
        "bits": lambda v: v & value == value,
        "odd": lambda v: v % 2 == 1,
    }[how]
    return lambda p: any(c.kind == kind and test(c.args[place]) for c in p.ops)


@st.composite
def predicates(draw, program: ProgramData):
    """A conjunction of needs which `program` itself meets."""
    parts = [lambda p: len(p.boot) == len(SCHEMA.boot)]
    calls = draw(st.lists(st.sampled_from(program.ops), max_size=3)) if program.ops else []
    for call in calls:
        if call.fail is not None:
            wanted = replace(call.fail, nth=1)
            parts.append(
                lambda p, w=wanted: any(
                    c.fail and c.fail.cls == w.cls and c.fail.all >= w.all for c in p.ops
                )
            )
        if call.args:
            place = draw(st.integers(0, len(call.args) - 1))
            how = draw(st.sampled_from(("ge", "le", "eq", "bits")))
            parts.append(needs(call.kind, place, call.args[place], how))
        else:
            parts.append(lambda p, k=call.kind: any(c.kind == k for c in p.ops))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(SCHEMA.boot) - 1))
        parts.append(lambda p, i=place, v=program.boot[place]: p.boot[i] >= v)
    return lambda p: all(part(p) for part in parts)


# -- what no single change may still improve


def smaller_values(arg: Arg, value: int):
    if value == arg.default:
        return
    yield arg.default
    if arg.kind == "flags":
        for bit in range(32):
            if (value ^ arg.default) >> bit & 1:
                yield value ^ 1 << bit
    elif arg.kind == "enum":
        yield from range(value)
    elif value > arg.lo:
        yield arg.lo
        yield value - 1


def smaller_calls(call: OpCall):
    if call.fail is not None:
        yield replace(call, fail=None)
        yield replace(call, fail=replace(call.fail, all=False))
        yield replace(call, fail=replace(call.fail, cls=0))
        for nth in range(1, call.fail.nth):
            yield replace(call, fail=replace(call.fail, nth=nth))
    for place, arg in enumerate(SCHEMA.ops[call.kind].args):
        for value in smaller_values(arg, call.args[place]):
            yield replace(call, args=(*call.args[:place], value, *call.args[place + 1 :]))


def smaller_programs(program: ProgramData):
    ops = program.ops
    for place, call in enumerate(ops):
        yield replace(program, ops=ops[:place] + ops[place + 1 :])
        for smaller in smaller_calls(call):
            yield replace(program, ops=(*ops[:place], smaller, *ops[place + 1 :]))
    for place, arg in enumerate(SCHEMA.boot):
        for value in smaller_values(arg, program.boot[place]):
            boot = (*program.boot[:place], value, *program.boot[place + 1 :])
            yield replace(program, boot=boot)


@given(st.data())
def test_the_result_is_valid_holds_and_is_a_local_minimum(data):
    program = data.draw(programs(SCHEMA, max_ops=12))
    predicate = data.draw(predicates(program))
    assume(predicate(program))
    result, stats = minimise(SCHEMA, program, predicate)
    assert SCHEMA.problems(result) == []
    assert predicate(result)
    assert stats.finished
    assert len(result.ops) == stats.ops_after <= stats.ops_before == len(program.ops)
    better = [p for p in smaller_programs(result) if p != result and predicate(p)]
    assert better == []


@given(st.data())
def test_each_candidate_is_valid_and_asked_about_once(data):
    program = data.draw(programs(SCHEMA, max_ops=8))
    predicate = data.draw(predicates(program))
    asked = []

    def asking(candidate):
        asked.append(candidate)
        return predicate(candidate)

    _, stats = minimise(SCHEMA, program, asking)
    assert len(asked) == len(set(asked)) == stats.total_tries
    assert all(SCHEMA.problems(candidate) == [] for candidate in asked)
    assert asked[0] == program


def test_a_long_program_comes_down_to_its_cause():
    rng = Random(2)
    cause = parse("rx(size=40000, gso=udp)", "poll(budget=7) fail(map, 3, all)")
    noise = [generate(SCHEMA, rng, n_ops=12).ops for _ in range(3)]
    ops = (*noise[0], cause.ops[0], *noise[1], cause.ops[1], *noise[2])
    program = ProgramData(SCHEMA.boot_values(ring=200, features=9), ops)

    def predicate(p):
        big = [i for i, c in enumerate(p.ops) if c.kind == 1 and c.args[1] >= 30000]
        polls = [i for i, c in enumerate(p.ops) if c.kind == 2 and c.fail and c.fail.cls == 2]
        return bool(big and polls and big[0] < polls[-1]) and p.boot[2] > 100

    result, stats = minimise(SCHEMA, program, predicate)
    assert text.format(SCHEMA, result) == "boot(ring=101)\nrx(size=30000)\npoll() fail(map, 1)\n"
    assert stats.ops_before == 38
    assert set(stats.kept) <= set(stats.tries) == {"check", "drop", "fail", "boot", "args"}


def test_two_ops_that_only_go_together_are_dropped_together():
    program = parse("open()", "rx()", "poll()", "rx()", "work-run()")

    def balanced(p):
        kinds = [c.kind for c in p.ops]
        return kinds.count(0) == kinds.count(4) and 2 in kinds

    result, _ = minimise(SCHEMA, program, balanced)
    assert text.format(SCHEMA, result) == "boot()\npoll()\n"


def test_max_tries_and_deadline_end_it_early_with_the_best_so_far():
    program = parse(*["rx(size=9)"] * 20, *["open()"] * 20)

    def predicate(p):
        return len(p.ops) >= 7

    result, stats = minimise(SCHEMA, program, predicate, max_tries=3)
    assert (len(result.ops), stats.total_tries, stats.finished) == (20, 3, False)
    result, stats = minimise(SCHEMA, program, predicate, deadline_s=0.0)
    assert (result, stats.total_tries, stats.finished) == (program, 0, False)
    result, stats = minimise(SCHEMA, program, predicate, deadline_s=60.0)
    assert (len(result.ops), stats.finished) == (7, True)


def test_a_program_without_the_bug_is_refused():
    with pytest.raises(ValueError, match="the predicate does not hold for the program"):
        minimise(SCHEMA, parse("open()"), lambda p: False)


def test_an_invalid_program_is_refused_before_anything_runs():
    calls = []
    bad = ProgramData(SCHEMA.default_boot, (OpCall(0, (), Fail(0)),))
    with pytest.raises(InvalidProgram):
        minimise(SCHEMA, bad, calls.append)
    assert calls == []
