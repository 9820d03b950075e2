# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs made without looking reach every op of virtio-net-rx, in more than one way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from random import Random

import pytest

import vfuzz
from tests.corpus.programs import KNOWN, SEEDS
from vfuzz.program import codec, mutator
from vfuzz.program.generator import generate
from vfuzz.program.schema import ProgramData

TARGET = vfuzz.target("virtio-net-rx")
SCHEMA = TARGET.schema
PROGRAMS = 3_000
MOST = SCHEMA.record_size * (SCHEMA.max_ops + 1)

ENODEV = 19

#: Observables that are what an op returns.
RETURNS = ("ret", "sent", "freed", "packets")
#: Ops that return nothing: they change something or they do not.
SILENT = ("irq", "kicks")
LEFT_BEHIND = ("rq.napi_state", "vq.event_triggered", "vq.device_flags", "vq.used_flags")


def generated() -> Iterator[bytes]:
    rng = Random(1)
    for _ in range(PROGRAMS):
        yield TARGET.program(generate(SCHEMA, rng)).encode()


def mutated() -> Iterator[bytes]:
    """Mutants of the seeds, and of mutants; nobody selects the good ones."""
    rng = Random(2)
    programs = [entry.program for entry in [*SEEDS, *KNOWN] if entry.target is TARGET]
    pool = [b"", *(program.encode() for program in programs)]
    for _ in range(PROGRAMS):
        data = rng.choice(pool)
        for _ in range(4):
            data = mutator.mutate_bytes(SCHEMA, data, seed=rng.getrandbits(32), max_size=MOST)
        pool.append(data)
        yield data


SOURCES = {"generated": generated, "mutated": mutated}


@cache
def made(source: str) -> tuple[bytes, ...]:
    return tuple(SOURCES[source]())


def steps_of(data: bytes, era: int) -> tuple[list[dict[str, int]], int]:
    """The observables of each op of a run, boot first; and how many ops came to their end."""
    raw = TARGET.core.execute(data, era, 0, True)
    end = max(raw["violation"]["op"], 0) if raw["violation"] else raw["n_ops"]
    return [dict(step["obs"]) for step in raw["steps"]], end


def executed(program: ProgramData, steps: list[dict[str, int]], end: int) -> Iterator[int]:
    """The ops of a run that really ran: before a violation, and not while suspended."""
    frozen = False
    for i, call in enumerate(program.ops[:end]):
        name, returned = SCHEMA.ops[call.kind].name, steps[i + 1].get("ret")
        if frozen and name not in ("restore", "consume"):
            continue
        if name in ("freeze", "restore") and returned != -ENODEV:
            frozen = name == "freeze"
        yield i


def leaves(program: ProgramData, era: int, ops: int) -> list[int]:
    """What the first `ops` ops of a program leave behind, where a silent op could change it."""
    shorter = codec.encode(SCHEMA, ProgramData(program.boot, program.ops[:ops]))
    script = [("peek", name, queue) for name in LEFT_BEHIND for queue in range(3)]
    left, violation = TARGET.core.rig(script, program=shorter, era=era)
    assert violation is None
    return left


@cache
def outcomes(source: str) -> dict[str, Counter]:
    """What each op returned, and how often, over all programs of a source."""
    found: dict[str, Counter] = defaultdict(Counter)
    for n, data in enumerate(made(source)):
        era = n % len(TARGET.eras)
        program = codec.decode(SCHEMA, data)
        steps, end = steps_of(data, era)
        for i in executed(program, steps, end):
            name = SCHEMA.ops[program.ops[i].kind].name
            if name not in SILENT:
                returned = [pair for pair in steps[i + 1].items() if pair[0] in RETURNS]
                found[name].update(returned)
            elif len(found[name]) < 2:
                # two more runs for each, until both answers are there
                changed = leaves(program, era, i) != leaves(program, era, i + 1)
                found[name][changed] += 1
    return found


every_op = pytest.mark.parametrize("op", [op.name for op in SCHEMA.ops])
every_source = pytest.mark.parametrize("source", SOURCES)


@every_source
@every_op
def test_is_executed_with_more_than_one_outcome(op, source):
    found = outcomes(source)[op]
    assert len(found) >= 2, found


@every_source
def test_programs_differ(source):
    assert len(set(made(source))) > 0.9 * PROGRAMS
    lengths = {len(program) for program in made(source)}
    assert len(lengths) > 20
