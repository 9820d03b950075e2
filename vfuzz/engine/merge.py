# SPDX-License-Identifier: GPL-2.0-or-later
"""Distilling a corpus: the smallest set of inputs, taken greedily, that keeps every feature.

libFuzzer does it (`-merge=1`), in a worker process. Its outer process starts an inner one again and
again, so that an input that kills the target costs one input and not the merge.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vfuzz.api import Target
from vfuzz.engine import driver, worker
from vfuzz.engine.inputs import read
from vfuzz.engine.log import tail
from vfuzz.engine.process import environment
from vfuzz.engine.pulse import Pulse
from vfuzz.engine.records import WorkerSpec, dump
from vfuzz.errors import BlindRun, Error

__all__ = ["Merged", "merge"]

_RESULT = re.compile(
    r"MERGE-OUTER: (\d+) new files with (\d+) new features added; (\d+) new coverage edges"
)


@dataclass(frozen=True)
class Merged:
    """What a merge did: files and bytes in, kept out of them, and the features these have."""

    files_in: int
    bytes_in: int
    files_out: int
    bytes_out: int
    features: int


def merge(
    target: Target,
    eras: tuple[str, ...],
    quirks: tuple[str, ...],
    sources: Iterable[Path],
    out: Path,
) -> Merged:
    """Put into the directory `out` the programs of `sources` (files, text or binary) that it needs.

    What `out` holds already is kept and counts. Programs are written in binary, canonical, under
    libFuzzer's kind of name. Raises Error, UsageError, OSError.
    """
    with tempfile.TemporaryDirectory(prefix="vfuzz-cmin-") as name:
        scratch = Path(name)
        all_in, kept = scratch / "in", scratch / "out"
        all_in.mkdir()
        kept.mkdir()
        files_in = bytes_in = 0
        for path in sources:
            data = read(path).program(target).encode()
            files_in, bytes_in = files_in + 1, bytes_in + len(data)
            (all_in / _name(data)).write_bytes(data)
        out.mkdir(parents=True, exist_ok=True)
        for path in out.iterdir():
            if path.is_file():
                shutil.copyfile(path, kept / path.name)
        features = _run(target, eras, quirks, scratch, [str(kept), str(all_in)])
        new = [path for path in sorted(kept.iterdir()) if not (out / path.name).exists()]
        for path in new:
            shutil.copyfile(path, out / path.name)
        bytes_out = sum(path.stat().st_size for path in new)
        return Merged(files_in, bytes_in, len(new), bytes_out, features)


def _name(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _run(
    target: Target,
    eras: tuple[str, ...],
    quirks: tuple[str, ...],
    scratch: Path,
    directories: list[str],
) -> int:
    spec = WorkerSpec(
        target=target.path,
        eras=eras,
        quirks=quirks,
        mode="merge",
        scratch=str(scratch),
        arguments=(
            *driver.flags(target),
            "-merge=1",
            f"-artifact_prefix={scratch}/",
            *directories,
        ),
    )
    spec_path, log_path = scratch / "spec.json", scratch / "log"
    spec_path.write_bytes(dump(spec))
    Pulse(scratch / "stats.bin", create=True).close()
    with log_path.open("wb") as log:
        status = subprocess.run(
            [sys.executable, "-m", "vfuzz.engine.worker", str(spec_path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
        ).returncode
    said = log_path.read_text(errors="replace")
    found = _RESULT.search(said)
    if status != 0 or found is None:
        if status == worker.EXIT_BLIND:
            raise BlindRun(said[said.rfind("vfuzz: ") + 7 :].strip())
        raise Error(f"merging failed with status {status}; the end of its log:\n{tail(log_path)}")
    return int(found[2])
