# SPDX-License-Identifier: GPL-2.0-or-later
"""Seeds are clean in every era, do what they say, and do the same every time."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from functools import cache

import pytest

from .programs import LIMITS, ROOT, SEEDS, TARGETS

every_seed = pytest.mark.parametrize("seed", [*SEEDS, *LIMITS], ids=str)
every_target = pytest.mark.parametrize("target", TARGETS, ids=str)


def digest(seed, era):
    """One number for all that an execution leaves behind: verdict, observables, events."""
    target = seed.target
    left = target.core.execute(seed.program.encode(), target.era_index(era), 0, trace=True)
    return hashlib.sha256(repr(left).encode()).hexdigest()


@cache
def digests(seed):
    return {era: digest(seed, era) for era in seed.target.eras}


@every_seed
def test_clean_in_every_era(seed):
    for era in seed.target.eras:
        result = seed.target.execute(seed.program, era)
        assert result.violation is None, f"{era}:\n{result.report()}"


@every_seed
def test_same_trace_again(seed):
    assert {era: digest(seed, era) for era in seed.target.eras} == digests(seed)


@pytest.mark.parametrize(
    "seed",
    [seed for seed in [*SEEDS, *LIMITS] if any(call.fail for call in seed.program.ops)],
    ids=str,
)
def test_every_fault_fires(seed):
    """A fail property that no site answers is a mistake about the path."""
    fired = {
        event.op
        for era in seed.target.eras
        for event in seed.target.execute(seed.program, era, trace=True).events
        if event.what == "fault"
    }
    asked = {number for number, call in enumerate(seed.program.ops) if call.fail}
    assert asked <= fired, [seed.program.ops[number].text for number in sorted(asked - fired)]


@every_target
def test_programs_are_long_enough(target):
    """A benchmark over the seeds is one over programs of a campaign's size."""
    lengths = [len(seed.program) for seed in SEEDS if seed.target is target]
    assert sum(lengths) / len(lengths) >= 16


@every_target
def test_seeds_say_everything_that_can_be_said(target):
    """Every op and every name of a bool, enum or flags argument stands in some seed."""
    schema = target.schema
    declared = [("boot", schema.boot), *((op.name, op.args) for op in schema.ops)]
    sayable, said = set(), set()
    for call, args in declared:
        for arg in args:
            if arg.kind == "flags":
                sayable |= {(call, arg.name, name) for name in arg.names if name}
            elif arg.kind in ("bool", "enum"):
                sayable |= {(call, arg.name, name) for name in arg.names or (0, 1)}
    kinds = {(call, arg.name): arg for call, args in declared for arg in args}
    for seed in SEEDS:
        if seed.target is not target:
            continue
        ops = seed.program.ops
        for call, args in [("boot", seed.program.boot), *((op.name, op.args) for op in ops)]:
            for name, value in args.items():
                arg = kinds[call, name]
                if arg.kind == "flags":
                    said |= {(call, name, n) for b, n in enumerate(arg.names) if value >> b & 1}
                elif arg.kind in ("bool", "enum"):
                    said.add((call, name, arg.names[value] if arg.names else value))
    assert not sayable - said
    assert {op.name for op in schema.ops} == {
        op.name for seed in SEEDS if seed.target is target for op in seed.program.ops
    }


def test_same_trace_in_another_process():
    code = (
        "import json\n"
        "from tests.corpus.programs import SEEDS\n"
        "from tests.corpus.test_seeds import digests\n"
        "print(json.dumps({str(seed): digests(seed) for seed in SEEDS}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {str(seed): digests(seed) for seed in SEEDS}
