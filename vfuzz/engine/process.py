# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker as its supervisor sees it: started, watched, restarted, stopped by its pid."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

import vfuzz
from vfuzz.engine.driver import libfuzzer_preloaded
from vfuzz.engine.log import LogTail, tail
from vfuzz.engine.pulse import Pulse
from vfuzz.engine.records import Mail, WorkerSpec, dump

__all__ = ["Totals", "WorkerProcess", "environment", "terminate"]

TOTALS = ("executions", "ops", "violations", "known_hits", "mutations")

FAST_DEATH_S = 10.0  # a worker that dies sooner than this after its start has not got anywhere
BACKOFF_S = (0.5, 2.0, 5.0, 15.0, 30.0)
STOP_GRACE_S = 5.0  # from the stop flag to SIGTERM: the longest that one execution may take
TERM_GRACE_S = 2.0  # from SIGTERM to SIGKILL

_ARTIFACT = re.compile(r"(crash|timeout|oom|leak)-")


def environment() -> dict[str, str]:
    """The environment of a child: it imports the same vfuzz, and dies with this process.

    Where this process was started with libFuzzer in LD_PRELOAD (an AddressSanitizer build needs
    that), the children get the mutator's stub there too.
    """
    source = str(Path(vfuzz.__file__).resolve().parents[1])
    paths = [source, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "VFUZZ_PARENT": str(os.getpid()),
    }
    if libfuzzer_preloaded():
        from vfuzz.program.mutator import stub_path

        if stub_path() not in env.get("LD_PRELOAD", ""):
            env["LD_PRELOAD"] = f"{env.get('LD_PRELOAD', '')}:{stub_path()}".lstrip(":")
    return env


def terminate(process: subprocess.Popen[bytes], grace_s: float = TERM_GRACE_S) -> None:
    """End a child of ours, first politely. Only ever by its own pid."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Totals:
    """Counters of a worker over all its processes in this run."""

    executions: int = 0
    ops: int = 0
    violations: int = 0
    known_hits: int = 0
    mutations: int = 0
    hits: Counter[str] = field(default_factory=Counter)


class WorkerProcess:
    """Worker number `index` of a campaign, over as many processes as it takes."""

    def __init__(self, home: Path, index: int) -> None:
        self.index = index
        self.home = home
        self.artifacts = home / "artifacts"
        self.log_path = home / "log"
        self.log = LogTail(self.log_path)
        self.process: subprocess.Popen[bytes] | None = None
        self.pulse: Pulse | None = None
        self.finished = False  # it is done and not to be started again
        self.starts = 0
        self.started_s = 0.0
        self.fast_deaths = 0
        self.restart_at_s = 0.0
        self._before = Totals()  # of processes that are gone

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self.process is not None

    def prepare(self) -> None:
        """Make the directory and forget the last run's log. Raises OSError."""
        self.artifacts.mkdir(parents=True, exist_ok=True)
        self.log_path.unlink(missing_ok=True)
        (self.home / "hits.json").unlink(missing_ok=True)

    def start(self, spec: WorkerSpec) -> None:
        """Start a process. Raises OSError."""
        spec_path = self.home / "spec.json"
        spec_path.write_bytes(dump(spec))
        self.log.next_process()
        self.pulse = Pulse(self.home / "stats.bin", create=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vfuzz.engine.worker", str(spec_path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                start_new_session=True,  # Ctrl-C at the terminal is for the supervisor alone
            )
        self.starts += 1
        self.started_s = time.monotonic()

    def totals(self) -> Totals:
        """The counters so far."""
        now = self.pulse.read() if self.pulse else dict.fromkeys(TOTALS, 0)
        total = Totals(hits=self._before.hits + self._hits())
        for name in TOTALS:
            setattr(total, name, getattr(self._before, name) + now[name])
        return total

    def _hits(self) -> Counter[str]:
        try:
            data = (self.home / "hits.json").read_bytes()
            return Counter(msgspec.json.decode(data, type=dict[str, int]))
        except (OSError, msgspec.MsgspecError):
            return Counter()

    def mail(self) -> Mail | None:
        """A finding that the worker could not write, if there is one."""
        data = self.pulse.mail() if self.pulse else b""
        return msgspec.msgpack.decode(data, type=Mail) if data else None

    def reap(self) -> int | None:
        """The exit status once the process has ended (negative: killed by a signal), else None."""
        if self.process is None:
            return None
        status = self.process.poll()
        if status is None:
            return None
        self.log.poll()
        self.process = None
        return status

    def retire(self) -> None:
        """Fold the counters of the ended process into the totals."""
        self._before = self.totals()
        (self.home / "hits.json").unlink(missing_ok=True)
        if self.pulse is not None:
            self.pulse.close()
            self.pulse = None

    def back_off(self) -> float:
        """Note a death and set when to start again; returns the delay in seconds."""
        now = time.monotonic()
        fast = now - self.started_s < FAST_DEATH_S
        self.fast_deaths = self.fast_deaths + 1 if fast else 0
        delay = BACKOFF_S[min(self.fast_deaths, len(BACKOFF_S) - 1)]
        self.restart_at_s = now + delay
        return delay

    def take_artifacts(self) -> list[tuple[str, Path]]:
        """(kind, path) of the inputs that libFuzzer kept when the process died."""
        found = []
        for path in sorted(self.artifacts.iterdir()):
            match = _ARTIFACT.match(path.name)
            if match is not None:
                found.append((match[1], path))
        return found

    def rss_kib(self) -> int:
        """Resident memory of the process, 0 when there is none."""
        if self.process is None:
            return 0
        try:
            return psutil.Process(self.process.pid).memory_info().rss >> 10
        except psutil.Error:
            return 0

    def log_tail(self, size: int = 2000) -> str:
        """The end of its log."""
        return tail(self.log_path, size)

    def ask_to_stop(self) -> None:
        """Raise the stop flag; the worker ends at its next pulse."""
        if self.pulse is not None:
            self.pulse.set("stop", 1)

    def wait_stopped(self, deadline_s: float) -> None:
        """Wait until a monotonic time for the process to end, then end it."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            terminate(self.process)

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
