# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel in a campaign's loop: what its corpus takes in is replayed, by a process beside it.

It has a pace of its own: inputs wait in the corpus until it comes to them. A divergence becomes a
finding of the work directory. It ends when it is asked to, or with the campaign that started it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import vfuzz
from vfuzz.api import Program, Target, target
from vfuzz.conform import kernel as kernels
from vfuzz.conform import report
from vfuzz.conform.projection import Impossible
from vfuzz.conform.session import Found, Session, Totals
from vfuzz.engine.process import terminate
from vfuzz.engine.records import Finding, dump, load
from vfuzz.engine.store import finding_dirs, save_finding, write_atomic
from vfuzz.errors import Error

__all__ = ["Follower", "Replay"]

BATCH_MAX = 400  # inputs between two looks at what is new: each takes some boots
TELL_S = 1.0
POLL_S = 0.5
MINIMISE_S = 20.0
LOG = "kernel.log"  # in the work directory: one line, what was done so far
END_S = 30.0  # for it to end: a guest that hangs is waited for
AGAIN_S = 2.0  # between its death and its next start
DEATHS_MAX = 5  # in a row within FAST_S of a start, after which the campaign ends
FAST_S = 60.0
FAILED = 3  # its exit code when it has said why: the next try would say the same


class _Stop(BaseException):
    """The campaign is over."""


def _named(signature: str) -> str:
    """The signature of a divergence as a finding has it."""
    return f"kernel {signature}"


class Follower:
    """Replays the inputs of a work directory's corpus, each once."""

    def __init__(
        self, what: Target, workdir: Path, kernel: kernels.Kernel, quirks: tuple[str, ...] = (),
        parent: int | None = None,
    ) -> None:  # fmt: skip
        """parent: the process that this one is not to outlive."""
        self.target = what
        self.workdir = workdir
        self.kernel = kernel
        self.quirks = quirks
        self.parent = parent
        self.stopping = False
        self.session = Session(what, kernel, kernel.era(what.eras), quirks, tick=self._tick)
        self._tell_at_s = 0.0
        self._seen: set[str] = set()
        self._stored: set[str] = set()

    def _tick(self, totals: Totals) -> None:
        if self.stopping or (self.parent is not None and os.getppid() != self.parent):
            raise _Stop
        now = time.monotonic()
        if totals.prepared and now >= self._tell_at_s:
            self._tell_at_s = now + TELL_S
            self._tell()

    def _tell(self) -> None:
        write_atomic(self.workdir / LOG, (report.progress(self.session.totals) + "\n").encode())

    def new(self) -> list[Program]:
        """Inputs that were not replayed yet, no more than a batch."""
        names = sorted(set(os.listdir(self.workdir / "corpus")) - self._seen)[:BATCH_MAX]
        programs = []
        for name in names:
            self._seen.add(name)
            with contextlib.suppress(FileNotFoundError):  # libFuzzer keeps the shorter one
                programs.append(self.target.decode((self.workdir / "corpus" / name).read_bytes()))
        return programs

    def batch(self) -> int:
        """Replay what is new; how many programs there were."""
        programs = self.new()
        if programs:
            totals = self.session.run(programs)
            for found in totals.unexplained:
                if found.signature not in self._stored:
                    self._stored.add(found.signature)
                    self._store(found)
            self._tell()
        return len(programs)

    def look_again(self) -> None:
        """Which of the divergences that are stored does this kernel still show?"""
        for home in finding_dirs(self.workdir / "findings"):
            finding = load(home / "finding.json", Finding)
            if finding.kind != "divergence" or finding.kernel != self.kernel.name:
                continue
            program = self.target.decode((home / "program.bin").read_bytes())
            with contextlib.suppress(Impossible):
                divergence = self.session.one(program).divergence
                seen = divergence is not None and finding.signature == _named(divergence.signature)
                self._set(home, "open" if seen else "gone")

    def _set(self, home: Path, status: str) -> None:
        finding = load(home / "finding.json", Finding)
        if finding.status != status:
            finding.status = status
            write_atomic(home / "finding.json", dump(finding))

    def _store(self, found: Found) -> None:
        signature = _named(found.signature)
        for home in finding_dirs(self.workdir / "findings"):
            if load(home / "finding.json", Finding).signature == signature:  # of another run
                self._set(home, "open")
                return
        stopped = False
        if not found.signature.startswith("guest: "):
            try:
                self.session.minimise(found, MINIMISE_S)
            except _Stop:
                stopped = True
        divergence, program = found.verdict.divergence, found.verdict.program
        assert divergence is not None
        finding = Finding(
            vfuzz=vfuzz.__version__,
            target=self.target.path,
            signature=signature,
            kind="divergence",
            title="model and kernel differ",
            site=found.verdict.site or "",
            op=divergence.op,
            message=f"{divergence.what}: model {divergence.model}, kernel {divergence.kernel}",
            kernel=self.kernel.name,
            era=self.session.era,
            quirks=self.quirks,
            state="kept" if stopped else "minimised",
            found=datetime.now(UTC).isoformat(timespec="seconds"),
            worker=0,
            executions=self.session.totals.programs,
            ops_raw=len(program),
            ops=len(program),
        )
        files = {
            "program.bin": program.encode(),
            "program.vf": str(program).encode(),
            "report.txt": report.of(found, self.kernel).encode(),
        }
        save_finding(self.workdir / "findings", finding, files)
        if stopped:
            raise _Stop

    def run(self) -> None:
        """Follow the corpus until it is asked to stop."""
        with contextlib.suppress(_Stop), self.session:
            self.look_again()
            while True:
                self._tick(self.session.totals)
                if not self.batch():
                    time.sleep(POLL_S)


class Replay:
    """That process, as the campaign has it."""

    def __init__(self, what: Target, workdir: Path, kernel: str, quirks: tuple[str, ...]) -> None:
        """Start it. Raises UsageError for a kernel that is not there."""
        self.log = workdir / LOG
        self.log.unlink(missing_ok=True)  # of the run before
        self.kernel = kernels.find(kernel)
        self.errors = workdir / "kernel-errors.log"
        self._command = [
            sys.executable, "-m", "vfuzz.conform.follow", what.path, str(workdir), kernel,
            str(os.getpid()), *quirks,
        ]  # fmt: skip
        self._deaths = 0
        self._again_at_s: float | None = None
        self._start()

    def _start(self) -> None:
        self._again_at_s = None
        self._started_s = time.monotonic()
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                start_new_session=True,
            )  # fmt: skip

    def attend(self, now: float) -> str:
        """Start it again when it has died; what there is to tell of that, or "". Raises Error when
        that does not help."""
        if self._again_at_s is not None:
            if now >= self._again_at_s:
                self._start()
            return ""
        code = self.process.poll()
        if code is None:
            return ""
        tail = self.errors.read_text(errors="replace").strip().splitlines()[-1:]
        why = f"the replay on {self.kernel.name} ended with {code}" + "".join(
            f": {line}" for line in tail
        )
        self._deaths = self._deaths + 1 if now - self._started_s < FAST_S else 1
        if code == FAILED or self._deaths >= DEATHS_MAX:
            raise Error(why)
        self._again_at_s = now + AGAIN_S
        return f"{why}; starting it again"

    def said(self) -> str:
        """What it has done, in words."""
        done = "nothing replayed yet"
        with contextlib.suppress(OSError):
            done = self.log.read_text().strip()
        return f"kernel {self.kernel.name}: {done}"

    def stop(self) -> None:
        """Ask it to end, and wait."""
        terminate(self.process, END_S)


@contextlib.contextmanager
def replayed(
    what: Target, workdir: Path, kernel: str, quirks: tuple[str, ...]
) -> Iterator[Replay | None]:
    """The replay beside a campaign; None without a kernel."""
    if not kernel:
        yield None
        return
    replay = Replay(what, workdir, kernel, quirks)
    try:
        yield replay
    finally:
        replay.stop()


def main(words: list[str]) -> int:
    """What Replay starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("workdir", type=Path)
    parser.add_argument("kernel")
    parser.add_argument("parent", type=int)
    parser.add_argument("quirks", nargs="*")
    args = parser.parse_args(words)
    kernel = kernels.find(args.kernel)
    what = target(args.target)
    follower = Follower(what, args.workdir, kernel, tuple(args.quirks), args.parent)

    def stop(number: int, frame: object) -> None:
        follower.stopping = True

    signal.signal(signal.SIGTERM, stop)
    try:
        follower.run()
    except Error as error:
        print(error, file=sys.stderr)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
