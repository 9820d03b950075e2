# SPDX-License-Identifier: GPL-2.0-or-later
"""The worked example: it is small, right, breaks as planned, and needs nobody to know of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings

import vfuzz
from tests.needs import need
from vfuzz.engine import inputs
from vfuzz.program.schema import FAIL_CLASSES
from vfuzz.strategies import programs, raw_bytes

ROOT = Path(__file__).resolve().parent.parent.parent
RING = vfuzz.target("ring")
SEEDS = inputs.seed_files(RING)
CANARY = ROOT / "corpus/ring/regressions/CANARY.vf"
OVERFILLED = "R2@target_after_op:filled"
ENOMEM, ENOSPC = 12, 28

LINES_MAX = 200
EXECUTIONS_MAX = 10_000

need("vfuzz.targets.ring._core")


def test_it_is_under_200_lines():
    package = ROOT / "vfuzz/targets/ring"
    sources = [*package.glob("*.py"), *package.glob("*.pyx")]
    assert {path.name for path in sources} == {
        *("__init__.py", "ops.py", "checks.py", "quirks.py", "known.py", "_core.pyx")
    }
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in sources) < LINES_MAX


# ---------------------------------------------------------------- the corpus


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_seeds_are_clean_and_say_what_they_do(path):
    source = inputs.read(path)
    assert source.comments
    assert RING.execute(source.program(RING)).violation is None


def test_seeds_reach_what_they_are_for():
    """Between them: a full ring before and after wrapping, an empty one, and every return code."""
    returned: set[tuple[str, int]] = set()
    full = set()
    for path in SEEDS:
        result = RING.execute(inputs.read(path).program(RING), trace=True)
        size = 1 << result.program.boot["order"]
        for call, step in zip(result.program.ops, result.steps[1:-1], strict=True):
            obs = dict(step.obs)
            returned.add((call.name, obs.get("ret", 0)))
            if call.name == "resize" and obs["ret"] == 0:
                size = 1 << call.args["order"]
            if obs["filled"] == size - 1:
                full.add(path.stem)
    assert {("put", 0), ("get", 0), ("peek", 0), ("peek", -1)} <= returned
    assert {("resize", 0), ("resize", -ENOSPC), ("resize", -ENOMEM), ("reset", 0)} <= returned
    assert {"full-before-wrapping", "full-after-wrapping"} <= full


def test_the_canary_fires_with_its_quirk_and_never_without():
    source = inputs.read(CANARY)
    program = source.program(RING)
    found = RING.execute(program, quirks=source.quirks).violation
    assert found is not None
    assert (found.signature, found.op) == (OVERFILLED, len(program) - 1)
    assert found.check in RING.quirk("canary").checks
    assert RING.execute(program).violation is None


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_a_full_ring_alone_does_not_fire_the_canary(path):
    """The near miss: only a put into a ring that is full behind a wrapped head is wrong."""
    found = RING.execute(inputs.read(path).program(RING), quirks=["CANARY"]).violation
    assert (found is not None) == (path.stem == "full-after-wrapping")


# ---------------------------------------------------------------- against a slow reference


class Reference:
    """The ring as a deque: what each op must show, from the documents of ops.py alone."""

    def __init__(self, order: int) -> None:
        self.room = (1 << order) - 1
        self.bytes: deque[int] = deque()
        self.written = 0

    def run(self, call: vfuzz.api.Call) -> list[tuple[str, int]]:
        """The observables of an op."""
        shown = getattr(self, call.name)(call, *call.args.values())
        return [*shown, ("filled", len(self.bytes))]

    def put(self, call, count):
        taken = min(count, self.room - len(self.bytes))
        self.bytes.extend((self.written + i) % 256 for i in range(taken))
        self.written += taken
        return [("ret", taken)]

    def get(self, call, count):
        out = [self.bytes.popleft() for _ in range(min(count, len(self.bytes)))]
        return [*(("byte", byte) for byte in out), ("ret", len(out))]

    def peek(self, call, offset):
        if offset >= len(self.bytes):
            return [("ret", -1)]
        return [("byte", self.bytes[offset]), ("ret", 0)]

    def resize(self, call, order):
        if len(self.bytes) >= 1 << order:
            return [("ret", -ENOSPC)]
        fail = call.fail
        if fail and fail.nth == 1 and FAIL_CLASSES[fail.cls] in ("any", "alloc"):
            return [("ret", -ENOMEM)]
        self.room = (1 << order) - 1
        return [("ret", 0)]

    def reset(self, call):
        self.bytes.clear()
        return []


@settings(max_examples=300, deadline=None)
@given(programs("ring"))
def test_every_observable_is_the_references(program):
    result = RING.execute(program, trace=True)
    assert result.violation is None
    reference = Reference(program.boot["order"])
    boot, *steps, shutdown = result.steps
    assert boot.obs == ()
    for call, step in zip(program.ops, steps, strict=True):
        assert list(step.obs) == reference.run(call), step.text
    assert list(shutdown.obs) == [("byte", byte) for byte in reference.bytes]


@settings(max_examples=300, deadline=None)
@given(raw_bytes("ring"))
def test_any_bytes_are_clean_and_give_the_same_trace_again(data):
    first = RING.core.execute(data, 0, 0, trace=True)
    assert first["violation"] is None
    assert RING.core.execute(data, 0, 0, trace=True) == first


# ---------------------------------------------------------------- the fuzzer


def test_the_canary_is_found():
    need("atheris")
    from vfuzz.engine.measure import measure

    assert RING.core.build_info()["instrumented"], "a build without coverage counters cannot fuzz"
    (row,) = measure(RING, [RING.quirk("CANARY")], runs=EXECUTIONS_MAX, seeds=5, jobs=1)
    assert len(row.found) == 5
    assert {trial.signature for trial in row.found} == {OVERFILLED}


# ---------------------------------------------------------------- a target is one folder

#: Bugs for a copy of the ring, one for each check that the canary does not reach:
#: quirk, check, line of _core.pyx, the line with the bug, a program.
MUTANTS = (
    (
        "M1",
        "R1",
        "R_bytes[1 - R.buf][i] = R_bytes[R.buf][(R.tail + i) & (R.size - 1)]",
        "R_bytes[1 - R.buf][i] = R_bytes[R.buf][(R.tail * (1 - {}) + i) & (R.size - 1)]",
        "put(count=3)\nget()\nresize(order=4)\nget()",
    ),
    (
        "M3",
        "R3",
        "cdef uint32_t n = 0, filled = circ_cnt()",
        "cdef uint32_t n = 0, filled = circ_cnt() + {}",
        "put(count=3)\nget(count=4)",
    ),
    (
        "M4",
        "R4",
        "R = Ring(size=size, head=filled, tail=0, buf=1 - R.buf)",
        "R = Ring(size=size, head=filled - {}, tail=0, buf=1 - R.buf)",
        "put(count=3)\nresize(order=4)",
    ),
    (
        "M5",
        "R5",
        "        J.written += 1\n        n += 1",
        "        J.written += 1\n        n += 1 - {}",
        "put(count=3)",
    ),
)


def python(tree: Path, *arguments: object) -> str:
    """What this interpreter prints when it runs in a copy of the source tree."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "VFUZZ_BUILD": "fuzz"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return f"{done.stdout}\nexit {done.returncode}"


@pytest.fixture(scope="module")
def hoop(tmp_path_factory) -> Path:
    """A source tree whose only target is `hoop`: the ring under another name, with MUTANTS in it.

    Nothing but the folder was touched, so what the rest of the tree does with it, it does for any.
    """
    tree = tmp_path_factory.mktemp("hoop")
    made = shutil.ignore_patterns("*.so", "_gen.pxi", "__pycache__", "ring", "virtio_net")
    shutil.copytree(ROOT / "vfuzz", tree / "vfuzz", ignore=made)
    shutil.copytree(ROOT / "tools", tree / "tools", ignore=made)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    package = tree / "vfuzz/targets/hoop"
    package.mkdir()
    for path in (ROOT / "vfuzz/targets/ring").iterdir():
        if path.suffix in (".py", ".pyx") and path.name != "_gen.pxi":
            text = path.read_text(encoding="utf-8")
            text = text.replace('"ring"', '"hoop"').replace("targets.ring", "targets.hoop")
            (package / path.name).write_text(text, encoding="utf-8")
    quirks, core = package / "quirks.py", package / "_core.pyx"
    model = core.read_text(encoding="utf-8")
    more = ""
    for quirk, check, line, broken, _ in MUTANTS:
        assert model.count(line) == 1, f"{quirk}: MUTANTS does not fit the model any more"
        model = model.replace(line, broken.format(f"quirk(QUIRK_{quirk})"))
        more += f'QUIRKS += (Quirk("{quirk}", "{quirk.lower()}", "planted", "none", "", '
        more += f'("ring-1",), ("{check}",), "planted"),)\n'
    core.write_text(model, encoding="utf-8")
    quirks.write_text(quirks.read_text(encoding="utf-8") + more, encoding="utf-8")
    built = python(tree, "setup.py", "--quiet", "build_ext", "--inplace")
    assert built.endswith("\nexit 0"), built
    return tree


@pytest.mark.slow
def test_a_new_folder_is_a_new_target(hoop, tmp_path):
    assert python(hoop, "-m", "vfuzz", "list").startswith("hoop\n")
    checks = python(hoop, "-m", "vfuzz", "checks", "hoop")
    assert all(check.rule in checks for check in RING.checks)
    run = python(hoop, "-m", "vfuzz", "run", "hoop", tmp_path / "work", "--quirk", "CANARY",
                 "--runs", EXECUTIONS_MAX, "--seed", 1, "-j", 1, "--stop-on-first")  # fmt: skip
    assert OVERFILLED in run
    assert run.endswith("\nexit 1")


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant[1])
def test_each_check_can_fire(hoop, tmp_path, mutant):
    quirk, check, _, _, program = mutant
    file = tmp_path / "program.vf"
    file.write_text(program + "\n", encoding="utf-8")
    replay = ("-m", "vfuzz", "replay", "--target", "hoop", file)
    with_bug = python(hoop, *replay, "--quirk", quirk)
    assert f"(check {check})" in with_bug
    assert with_bug.endswith("\nexit 1")
    assert "no violation in ring-1" in python(hoop, *replay)
