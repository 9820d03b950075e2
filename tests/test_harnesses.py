# SPDX-License-Identifier: GPL-2.0-or-later
"""The OSS-Fuzz targets: plain, with libFuzzer preloaded, and packed by PyInstaller.

What a harness does is tested in tests/engine/test_driver.py; here are the files themselves.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vfuzz
from tests.needs import need
from vfuzz.engine import process

atheris = need("atheris")

ROOT = Path(__file__).parents[1]
HARNESSES = sorted((ROOT / "harnesses").glob("fuzz_*.py"))
PRELOADED = Path(atheris.path()) / "asan_with_fuzzer.so"


def fuzz(command: list[str], cwd: Path, preload: bool = False, quirks: str = "") -> str:
    """Run it and return all that it printed; an unexpected end raises."""
    env = {**process.environment(), "ASAN_OPTIONS": "detect_leaks=0", "VFUZZ_QUIRKS": quirks}
    if preload:
        env["LD_PRELOAD"] = str(PRELOADED)
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=300)
    told = done.stdout + done.stderr
    assert (done.returncode == 0) is (not quirks), told
    return told


def canary_of(name: str) -> str:
    return next(quirk.id for quirk in vfuzz.target(name).quirks if quirk.canary)


def target_of(harness: Path) -> str:
    match = re.search(r'harness\("([^"]+)"', harness.read_text())
    assert match is not None
    return match[1]


def check(command: list[str], harness: Path, cwd: Path, preload: bool) -> None:
    told = fuzz([*command, "-runs=2000", "-seed=1337"], cwd, preload)
    assert "Done 2000 runs" in told
    # The names of the mutations that led to a new input: ours are among them.
    assert re.search(r"MS: \d+ (?:\w+-)*Custom", told)
    canary = canary_of(target_of(harness))
    told = fuzz([*command, "-runs=10000", "-seed=1"], cwd, preload, canary)
    assert "==vfuzz== ERROR: VirtFuzzSanitizer: " in told
    (kept,) = cwd.glob("crash-*")
    kept.unlink()


def test_every_harness_is_of_a_target_and_is_ten_lines():
    assert HARNESSES
    names = {target.name for target in vfuzz.targets()}
    for harness in HARNESSES:
        assert target_of(harness) in names
        assert harness.stem == "fuzz_" + target_of(harness).replace("-", "_")
        assert os.access(harness, os.X_OK)
        assert len(harness.read_text().splitlines()) <= 12


@pytest.mark.parametrize("preload", [False, True], ids=["plain", "preloaded"])
@pytest.mark.parametrize("harness", HARNESSES, ids=lambda path: path.stem)
def test_a_harness_runs(harness, preload, tmp_path):
    check([sys.executable, str(harness)], harness, tmp_path, preload)


@pytest.mark.slow
@pytest.mark.parametrize("harness", HARNESSES, ids=lambda path: path.stem)
def test_a_packed_harness_runs(harness, tmp_path):
    need("PyInstaller")
    name = f"{harness.stem}.pkg"
    subprocess.run(
        [
            *(sys.executable, "-m", "PyInstaller", "--onefile", "--name", name),
            *("--distpath", str(tmp_path), "--workpath", str(tmp_path / "work")),
            *("--specpath", str(tmp_path), "--paths", str(ROOT)),
            *("--additional-hooks-dir", str(ROOT / "vfuzz/__pyinstaller"), str(harness)),
        ],
        check=True,
        capture_output=True,
        env=process.environment(),
        cwd=tmp_path,
    )
    place = tmp_path / "empty"
    place.mkdir()
    for preload in (False, True):
        check([str(tmp_path / name)], harness, place, preload)
