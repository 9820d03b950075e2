# SPDX-License-Identifier: GPL-2.0-or-later
"""One process with atheris, the mutator and a target: plain, and with libFuzzer preloaded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import atheris
import pytest

from vfuzz.engine import process

from .conftest import LEDGER

# A harness, and how often libFuzzer called the mutator in it.
HARNESS = f"""
import os
import sys
from vfuzz.engine import driver, worker

def tell():
    from vfuzz.program import mutator
    print("mutations:", mutator.mutator_calls(), file=sys.stderr, flush=True)

worker.at_c_exit(tell)
try:
    driver.harness("{LEDGER}", sys.argv)
except SystemExit as end:
    if end.code not in (2, 3):
        raise  # by a violation: at exit libFuzzer keeps the input
    sys.stdout.flush()
    os._exit(end.code)
"""

PRELOADS = ("", "asan_with_fuzzer.so", "ubsan_with_fuzzer.so")


def fuzz(tmp_path: Path, *arguments: str, preload: str = "", **environment: str):
    script = tmp_path / "fuzz_ledger.py"
    script.write_text(HARNESS)
    env = {**process.environment(), "ASAN_OPTIONS": "detect_leaks=0", **environment}
    if preload:
        env["LD_PRELOAD"] = str(Path(atheris.path()) / preload)
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
        timeout=120,
    )


@pytest.mark.parametrize("preload", PRELOADS)
def test_the_mutator_is_called_wherever_libfuzzer_comes_from(tmp_path, preload):
    done = fuzz(tmp_path, "-runs=3000", "-seed=1", preload=preload)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Done 3000 runs", done.stderr)
    assert ("Using preloaded libfuzzer" in done.stderr) is bool(preload)
    mutations = re.search(r"mutations: (\d+)", done.stderr)
    assert mutations is not None
    assert int(mutations[1]) > 2000
    coverage = re.findall(r"cov: (\d+)", done.stderr)
    assert int(coverage[-1]) > 500


@pytest.mark.parametrize("preload", PRELOADS)
def test_a_violation_ends_a_harness_with_a_report_and_the_input(tmp_path, preload, ledger):
    done = fuzz(tmp_path, "-runs=50000", "-seed=1", preload=preload, VFUZZ_QUIRKS="Q01")
    assert done.returncode not in (0, 3), done.stderr
    assert "==vfuzz== ERROR: VirtFuzzSanitizer: bad-put on address 0x" in done.stderr
    assert "Uncaught Python exception" in done.stdout
    assert "Violated: bad-put (C1@ledger_put:unheld)" in done.stdout
    (kept,) = tmp_path.glob("crash-*")
    violation = ledger.execute(kept.read_bytes(), "old", ("Q01",)).violation
    assert violation is not None
    assert violation.signature == "C1@ledger_put:unheld"
    again = fuzz(tmp_path, kept.name, preload=preload, VFUZZ_QUIRKS="Q01")
    assert again.returncode not in (0, 3)
    clean = fuzz(tmp_path, kept.name, preload=preload)
    assert clean.returncode == 0, clean.stderr


def test_the_traceback_leads_into_the_model(tmp_path):
    """ClusterFuzz groups crashes of Python targets by the last functions of the traceback."""
    done = fuzz(tmp_path, "-runs=50000", "-seed=1", VFUZZ_QUIRKS="Q01", VFUZZ_ERAS="new")
    frames = re.findall(r'^\s*File "([^"]+)", line (\d+), in (.+)$', done.stdout, flags=re.M)
    model = [frame for frame in frames if frame[0].endswith(".pxi")]
    assert [frame[2] for frame in model] == ["ledger_put", "C1_unheld"]
    assert frames[-1] == model[-1]
    path, line, _ = model[0]
    source = Path(__file__).parents[2] / path
    assert 'b"ledger_put:unheld"' in source.read_text().splitlines()[int(line) - 1]


def test_known_findings_do_not_end_a_harness(tmp_path):
    done = fuzz(tmp_path, "-runs=3000", "-seed=1", VFUZZ_ERAS="old")
    assert done.returncode == 0, done.stdout
    assert "Done 3000 runs" in done.stderr


@pytest.mark.parametrize(
    ("environment", "message", "code"),
    [
        ({"VFUZZ_ERAS": "older"}, "unknown era 'older'", 2),
        ({"VFUZZ_QUIRKS": "Q77"}, "unknown quirk 'Q77'", 2),
        ({"LEDGER_BLIND": "counters"}, "without coverage instrumentation", 3),
    ],
)
def test_what_is_wrong_with_its_surroundings_is_told(tmp_path, environment, message, code):
    done = fuzz(tmp_path, "-runs=10", **environment)
    assert done.returncode == code
    assert message in done.stderr


def test_a_stub_that_cannot_be_preloaded_is_told(tmp_path):
    done = fuzz(tmp_path, "-runs=10", preload="asan_with_fuzzer.so", VFUZZ_RESTARTED="1")
    assert done.returncode == 3
    assert "LD_PRELOAD" in done.stderr


def test_a_seed_repeats_a_run(tmp_path):
    def features() -> list[str]:
        done = fuzz(tmp_path, "-runs=2000", "-seed=5")
        return re.findall(r"#\d+\s+(?:NEW|REDUCE).*?corp: \S+", done.stderr)

    first = features()
    assert len(first) > 50
    assert first == features()
    assert "VFUZZ_RESTARTED" not in os.environ
