# SPDX-License-Identifier: GPL-2.0-or-later
import sys
from types import SimpleNamespace

import pytest
from hypothesis import find, given, settings

import vfuzz
from tests.program.sample import SCHEMA
from vfuzz import strategies
from vfuzz.program import codec, text
from vfuzz.program.schema import ProgramData


class Wrapped:
    """What a target makes of a ProgramData."""

    def __init__(self, data: ProgramData) -> None:
        self.data = data


TARGET = SimpleNamespace(name="sample", schema=SCHEMA, program=Wrapped)


@given(strategies.programs(SCHEMA))
def test_programs_of_a_schema_are_valid(program):
    assert SCHEMA.problems(program) == []


@given(strategies.programs(TARGET, max_ops=3))
def test_programs_of_a_target_are_the_targets_own(program):
    assert isinstance(program, Wrapped)
    assert len(program.data.ops) <= 3
    assert SCHEMA.problems(program.data) == []


def test_a_target_can_be_named(monkeypatch):
    monkeypatch.setattr(vfuzz, "target", {"sample": TARGET}.__getitem__, raising=False)
    assert isinstance(find(strategies.programs("sample"), lambda p: True), Wrapped)
    assert find(strategies.raw_bytes("sample"), lambda data: True) == b""


@given(strategies.raw_bytes(SCHEMA, max_ops=5))
def test_raw_bytes_decode(data):
    assert len(data) < 16 * 7
    assert SCHEMA.problems(codec.decode(SCHEMA, data)) == []


def find_text(condition) -> str:
    quiet = settings(max_examples=1000, database=None, derandomize=True)
    few = strategies.programs(SCHEMA, max_ops=4)
    return text.format(SCHEMA, find(few, condition, settings=quiet))


def test_programs_shrink_to_defaults_and_few_ops():
    assert find_text(lambda p: True) == "boot()\n"
    assert find_text(lambda p: len(p.ops) >= 2) == "boot()\nopen()\nopen()\n"
    sized = find_text(lambda p: any(c.kind == 1 and c.args[1] > 1600 for c in p.ops))
    assert sized.startswith("boot()\nrx(size=")
    assert sized.count("\n") == 2
    assert find_text(lambda p: any(c.fail for c in p.ops)) == "boot()\nopen() fail(1)\n"


def test_raw_bytes_are_also_long_and_ragged():
    quiet = settings(max_examples=1000, database=None, derandomize=True)
    long = find(strategies.raw_bytes(SCHEMA), lambda data: len(data) > 160, settings=quiet)
    assert len(codec.decode(SCHEMA, long).ops) >= 10
    ragged = find(strategies.raw_bytes(SCHEMA), lambda data: len(data) % 16 == 15, settings=quiet)
    assert len(ragged) == 15


@pytest.mark.parametrize("wrong", [None, 3, SimpleNamespace(schema="x")])
def test_what_is_no_target_is_refused(wrong):
    with pytest.raises(TypeError, match="expected a target, its name or a Schema"):
        strategies.programs(wrong)


@pytest.mark.parametrize("max_ops", [-1, 41])
def test_max_ops_is_checked(max_ops):
    with pytest.raises(ValueError, match=rf"max_ops {max_ops} is outside 0\.\.40"):
        strategies.programs(SCHEMA, max_ops=max_ops)
    with pytest.raises(ValueError, match=rf"max_ops {max_ops} is outside 0\.\.40"):
        strategies.raw_bytes(SCHEMA, max_ops=max_ops)


def test_without_hypothesis_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis.strategies", None)
    with pytest.raises(ImportError, match="pip install hypothesis"):
        strategies.programs(SCHEMA)
