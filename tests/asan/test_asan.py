# SPDX-License-Identifier: GPL-2.0-or-later
"""The models must be free of the bugs they look for: AddressSanitizer and UBSan over all targets.

`./do asan` builds and runs these; an error of either sanitizer ends the process that met it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

import vfuzz
from vfuzz.program.generator import generate

pytestmark = pytest.mark.asan

ROOT = Path(__file__).resolve().parent.parent.parent
EXECUTIONS = 200_000
RANDOM_PROGRAMS = 2_000
#: What one program may cost a quirk's turn: all quirks get the same few programs.
PROGRAMS_PER_QUIRK = 200

TARGETS = vfuzz.targets()
by_target = pytest.mark.parametrize("target", TARGETS, ids=str)


def programs(target: vfuzz.Target) -> list[vfuzz.Program]:
    """The target's corpus, seeds and regressions."""
    files = sorted((ROOT / "corpus" / target.name).rglob("*.vf"))
    return [target.parse(path.read_text(encoding="utf-8")) for path in files]


def run_python(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter, under the same sanitizer; output and errors in .stdout."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


def test_the_sanitizer_is_awake():
    """A test of the other tests: a real overrun must end the process with a report."""
    code = "import ctypes; c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p\n"
    code += "c.memset(ctypes.c_void_p(c.malloc(8)), 0, 9)"
    done = run_python("-c", code)
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stdout


@by_target
def test_this_is_the_sanitizer_build(target):
    assert Path(vfuzz.__file__).is_relative_to(ROOT / "build/asan")
    assert Path(target.core.__file__).is_relative_to(ROOT / "build/asan")
    assert target.core.build_info()["asan"]


@by_target
def test_corpus(target):
    corpus = programs(target)
    assert corpus, f"corpus/{target.name} has no program"
    for program in corpus:
        for era in target.eras:
            target.execute(program, era, trace=True)


@by_target
def test_quirks_break_the_model_but_not_the_memory(target):
    rng = Random(1)
    random = [target.program(generate(target.schema, rng)) for _ in range(PROGRAMS_PER_QUIRK)]
    some = [*programs(target), *random]
    for quirk in target.quirks:
        for era in target.eras_with([quirk.id]):
            for program in some:
                target.execute(program, era, [quirk.id])


@by_target
def test_random_bytes(target):
    rng = Random(2)
    for _ in range(RANDOM_PROGRAMS):
        data = rng.randbytes(rng.randrange(1200))
        for era in target.eras:
            target.execute(data, era)


@by_target
def test_campaign(target, tmp_path):
    """The fuzz target as OSS-Fuzz runs it, with libFuzzer preloaded beside the sanitizer."""
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for number, program in enumerate(programs(target)):
        (seeds / str(number)).write_bytes(program.encode())
    script = tmp_path / "harness.py"
    script.write_text(
        f"from vfuzz.engine.driver import harness\nharness({target.name!r})\n", encoding="utf-8"
    )
    arguments = (f"-runs={EXECUTIONS}", "-seed=1", f"-artifact_prefix={tmp_path}/")
    done = run_python(script, *arguments, seeds)
    assert done.returncode == 0, done.stdout[-8000:]
    ran = re.search(r"Done (\d+) runs", done.stdout)
    assert ran, done.stdout[-8000:]
    assert int(ran[1]) >= EXECUTIONS
