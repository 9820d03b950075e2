# SPDX-License-Identifier: GPL-2.0-or-later
"""Same bytes, same trace: whatever ran before, in every process and in every build."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vfuzz
from tests.corpus.programs import ALL, TARGETS
from vfuzz.program import mutator
from vfuzz.program.generator import generate
from vfuzz.strategies import programs

ROOT = Path(__file__).resolve().parents[2]

Run = tuple[bytes, int, int]  # program, era, quirks as a bit mask

#: Reads runs, one a line: era, quirks, program in hex. Writes the digest of each result. With
#: "fresh" each of them runs in a child of its own, in which nothing ever ran before.
DIGESTS = """
import hashlib, os, sys
import vfuzz
core = vfuzz.target(sys.argv[2]).core
core.execute(b"", 0)  # loads what is loaded once
print(core.__file__)
for line in sys.stdin:
    era, quirks, program = line.rstrip("\\n").split(" ")
    read, write = os.pipe()
    if sys.argv[1] == "fresh" and os.fork():
        os.close(write)
        with open(read) as pipe:
            print(pipe.read())
        os.wait()
        continue
    result = core.execute(bytes.fromhex(program), int(era), int(quirks), True)
    digest = hashlib.sha256(repr(result).encode()).hexdigest()
    if sys.argv[1] == "fresh":
        os.write(write, digest.encode())
        os._exit(0)
    os.close(read)
    os.close(write)
    print(digest)
"""


#: Steps of the rig that leave a lot behind, and end in a violation.
LITTER = {
    "virtio-net-rx": [
        ("fail", 1, "FAULT_ALLOC", 1),
        ("poke", "memory.drv_refs", 7),
        ("poke", "vi.refill_pending", 1),
        ("driver_ok", 1),
        ("in_poll", 1),
        ("steps", 20_001),
    ],
    "vdpa": [
        ("fail", 1, "FAULT_MAP", 1),
        ("iotlb_add", 0, 0, 4095),
        ("mm_map", 0, 64),
        ("poke", "mm.pinned_vm", 7),
        ("poke", "v.in_batch", 1),
        ("kmalloc", "O_OPEN"),
        ("lock", "L_DEV"),
        ("steps", 20_001),
    ],
}

every_target = pytest.mark.parametrize("target", TARGETS, ids=str)


def execute(target: vfuzz.Target, run: Run) -> dict:
    return target.core.execute(*run, True)


def digest(target: vfuzz.Target, run: Run) -> str:
    return hashlib.sha256(repr(execute(target, run)).encode()).hexdigest()


def elsewhere(
    target: vfuzz.Target, runs: list[Run], how: str, tree: Path = ROOT
) -> tuple[Path, list[str]]:
    """Digests of `runs` by another process, with the vfuzz in `tree`; and its compiled core."""
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS, how, target.name],
        input="".join(f"{era} {quirks} {data.hex()}\n" for data, era, quirks in runs),
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "random"},
        cwd=tree,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    core, *digests = done.stdout.splitlines()
    return Path(core), digests


def many_runs(target: vfuzz.Target, count: int) -> list[Run]:
    """The corpus, and as many generated and mutated programs; every era, and quirks here and
    there, so that some runs end in the middle of something."""
    rng = Random(20)
    data = [entry.program.encode() for entry in ALL if entry.target is target]
    while len(data) < count:
        if len(data) % 2:
            data.append(target.program(generate(target.schema, rng)).encode())
        else:
            data.append(
                mutator.mutate_bytes(
                    target.schema, rng.choice(data), seed=rng.getrandbits(32), max_size=1040
                )
            )
    return [
        (
            program,
            rng.randrange(len(target.eras)),
            1 << rng.randrange(len(target.quirks)) if rng.random() < 0.3 else 0,
        )
        for program in data
    ]


RUNS = {
    target.name: st.tuples(
        programs(target).map(lambda program: program.encode()),
        st.integers(0, len(target.eras) - 1),
        st.just(0) | st.integers(0, len(target.quirks) - 1).map(lambda bit: 1 << bit),
    )
    for target in TARGETS
}


@every_target
@settings(max_examples=100)
@given(data=st.data())
def test_nothing_is_left_of_what_ran_before(target, data):
    run = data.draw(RUNS[target.name])
    others = data.draw(st.lists(RUNS[target.name], min_size=1, max_size=5))
    first = execute(target, run)
    assert execute(target, run) == first
    for other in others:
        execute(target, other)
    assert execute(target, run) == first


@every_target
@given(data=st.data())
def test_a_rig_leaves_nothing_behind(target, data):
    run = data.draw(RUNS[target.name])
    first = execute(target, run)
    _, violation = target.core.rig(LITTER[target.name])
    assert violation is not None
    assert execute(target, run) == first


@every_target
@given(data=st.data())
def test_a_trace_changes_nothing(target, data):
    """What is traced and what is not, is the same run."""
    run = data.draw(RUNS[target.name])
    traced = execute(target, run)
    plain = target.core.execute(*run)
    assert plain == {key: traced[key] for key in plain}


@every_target
def test_a_long_past_is_forgotten(target):
    """After thousands of others each run is what it is in a process where it is the first."""
    runs = many_runs(target, 250)
    once = [digest(target, run) for run in runs]
    for run in reversed(runs):
        execute(target, run)
    assert [digest(target, run) for run in runs] == once
    core, fresh = elsewhere(target, runs, "fresh")
    assert core.parent == Path(target.core.__file__).parent
    assert fresh == once


@every_target
def test_another_process_gives_the_same(target):
    runs = many_runs(target, 250)
    _, digests = elsewhere(target, runs[::-1], "in a row")
    assert digests[::-1] == [digest(target, run) for run in runs]


@pytest.fixture(scope="session")
def plain_build() -> Path:
    """build/plain: the tree without any instrumentation."""
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build"],
        cwd=ROOT,
        env={**os.environ, "VFUZZ_BUILD": "plain"},
        check=True,
    )
    return ROOT / "build/plain"


@every_target
@pytest.mark.slow
def test_another_build_gives_the_same(target, plain_build):
    runs = many_runs(target, 4000)
    core, digests = elsewhere(target, runs, "in a row", plain_build)
    assert plain_build in core.parents
    assert digests == [digest(target, run) for run in runs]
