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
from tests.corpus.programs import ALL
from vfuzz.program import mutator
from vfuzz.program.generator import generate
from vfuzz.strategies import programs

ROOT = Path(__file__).resolve().parents[3]
TARGET = vfuzz.target("virtio-net-rx")
ERAS = range(len(TARGET.eras))
QUIRKS = range(len(TARGET.quirks))

Run = tuple[bytes, int, int]  # program, era, quirks as a bit mask

#: Reads runs, one a line: era, quirks, program in hex. Writes the digest of each result. With
#: "fresh" each of them runs in a child of its own, in which nothing ever ran before.
DIGESTS = """
import hashlib, os, sys
import vfuzz
core = vfuzz.target("virtio-net-rx").core
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


def execute(run: Run) -> dict:
    return TARGET.core.execute(*run, True)


def digest(run: Run) -> str:
    return hashlib.sha256(repr(execute(run)).encode()).hexdigest()


def elsewhere(runs: list[Run], how: str, tree: Path = ROOT) -> tuple[Path, list[str]]:
    """Digests of `runs` by another process, with the vfuzz in `tree`; and its compiled core."""
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS, how],
        input="".join(f"{era} {quirks} {data.hex()}\n" for data, era, quirks in runs),
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "random"},
        cwd=tree,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    core, *digests = done.stdout.splitlines()
    return Path(core), digests


def many_runs(count: int) -> list[Run]:
    """The corpus, and as many generated and mutated programs; every era, and quirks here and
    there, so that some runs end in the middle of something."""
    rng = Random(20)
    data = [entry.program.encode() for entry in ALL if entry.target is TARGET]
    while len(data) < count:
        if len(data) % 2:
            data.append(TARGET.program(generate(TARGET.schema, rng)).encode())
        else:
            data.append(
                mutator.mutate_bytes(
                    TARGET.schema, rng.choice(data), seed=rng.getrandbits(32), max_size=1040
                )
            )
    return [
        (program, rng.choice(ERAS), 1 << rng.choice(QUIRKS) if rng.random() < 0.3 else 0)
        for program in data
    ]


RUNS = st.tuples(
    programs(TARGET).map(lambda program: program.encode()),
    st.sampled_from(ERAS),
    st.just(0) | st.sampled_from(QUIRKS).map(lambda bit: 1 << bit),
)


@settings(max_examples=100)
@given(RUNS, st.lists(RUNS, min_size=1, max_size=5))
def test_nothing_is_left_of_what_ran_before(run, others):
    first = execute(run)
    assert execute(run) == first
    for other in others:
        execute(other)
    assert execute(run) == first


@given(RUNS)
def test_a_rig_leaves_nothing_behind(run):
    first = execute(run)
    TARGET.core.rig(
        [
            ("fail", 1, "FAULT_ALLOC", 1),
            ("poke", "memory.drv_refs", 7),
            ("poke", "vi.refill_pending", 1),
            ("driver_ok", 1),
            ("in_poll", 1),
            ("steps", 20_001),
        ],
        dma=True,
        swiotlb=True,
    )
    assert execute(run) == first


@given(RUNS)
def test_a_trace_changes_nothing(run):
    """What is traced and what is not, is the same run."""
    traced = execute(run)
    plain = TARGET.core.execute(*run)
    assert plain == {key: traced[key] for key in plain}


def test_a_long_past_is_forgotten():
    """After thousands of others each run is what it is in a process where it is the first."""
    runs = many_runs(250)
    once = [digest(run) for run in runs]
    for run in reversed(runs):
        execute(run)
    assert [digest(run) for run in runs] == once
    core, fresh = elsewhere(runs, "fresh")
    assert core.parent == Path(TARGET.core.__file__).parent
    assert fresh == once


def test_another_process_gives_the_same():
    runs = many_runs(250)
    _, digests = elsewhere(runs[::-1], "in a row")
    assert digests[::-1] == [digest(run) for run in runs]


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


@pytest.mark.slow
def test_another_build_gives_the_same(plain_build):
    runs = many_runs(4000)
    core, digests = elsewhere(runs, "in a row", plain_build)
    assert plain_build in core.parents
    assert digests == [digest(run) for run in runs]
