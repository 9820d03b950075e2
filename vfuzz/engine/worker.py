# SPDX-License-Identifier: GPL-2.0-or-later
"""One worker process: `python -m vfuzz.engine.worker SPEC.json [libFuzzer arguments]`.

It fuzzes until libFuzzer is done or its supervisor raises the stop flag, stores each new finding
before the next execution, and dies with its supervisor. Arguments after the spec replace the
spec's own: libFuzzer appends them when it starts itself again to merge.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import msgspec

import vfuzz
from vfuzz import api
from vfuzz.engine import driver
from vfuzz.engine.inputs import head_of
from vfuzz.engine.pulse import STATE_DONE, STATE_FUZZING, Pulse
from vfuzz.engine.records import Finding, Mail, WorkerSpec, load
from vfuzz.engine.store import save_finding
from vfuzz.errors import BlindRun, Error

__all__ = ["EXIT_BLIND", "EXIT_DISK", "EXIT_ERROR", "main", "store_mail"]

# libFuzzer itself uses 1, 70..77; these say that the worker ended on purpose.
EXIT_ERROR = 43  # an Error: its message is the end of the log
EXIT_BLIND = 44  # BlindRun, likewise
EXIT_DISK = 45  # a finding could not be written: it is in the mailbox

HITS_EVERY_NS = 1_000_000_000

_PR_SET_PDEATHSIG = 1
_kept_alive: list[Any] = []  # callbacks that C holds on to


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, however it dies.

    parent  the process that started this one; 0 when that is not known here
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:  # it died before the call
        os._exit(0)


def at_c_exit(function: Any) -> None:
    """Call a function in C's exit(): libFuzzer ends with it, past all of Python.

    The process must not end in any other way than that or os._exit: when Python has been taken down
    in order, there is nobody left to call the function.
    """
    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: function())
    _kept_alive.append(callback)
    ctypes.CDLL(None).__cxa_atexit(callback, None, None)


def store_mail(findings: Path, mail: Mail) -> bool:
    """Write a finding to its directory; whether it was new. Raises OSError."""
    target = api.target(mail.finding.target)
    text = head_of(target.name, (mail.finding.era,), mail.finding.quirks)
    text += str(target.decode(mail.program))
    files = {"program.bin": mail.program, "raw.bin": mail.program, "program.vf": text.encode()}
    return save_finding(findings, mail.finding, files) is not None


class Worker:
    """The callbacks that the target's core makes."""

    def __init__(self, spec: WorkerSpec, target: api.Target) -> None:
        self.spec = spec
        self.target = target
        self.scratch = Path(spec.scratch)
        self.pulse = Pulse(self.scratch / "stats.bin")
        self.core: ModuleType | None = None
        self.mutator: ModuleType | None = None
        self.first_hits: dict[str, int] = {}  # hits that led here; later ones the core counts
        self.hits_written: dict[str, int] = {}
        self.hits_next_ns = 0

    def on_violation(self, data: bytes, era_index: int, raw: dict[str, Any]) -> None:
        """A signature that this worker has not met in this era: store it unless it is stored."""
        assert self.core is not None
        era = self.target.eras[era_index]
        check = self.target.checks[raw["check"]]
        signature = api.signature_of(check.id, raw["site"])
        self.core.add_known(f"{era_index}:{signature}")
        key = f"{era_index}:{signature}"
        self.first_hits[key] = self.first_hits.get(key, 0) + 1
        if self.spec.mode == "fuzz":
            self._keep(data, era, check, signature, raw)

    def _keep(self, data: bytes, era: str, check: Any, signature: str, raw: dict[str, Any]) -> None:
        assert self.core is not None
        ops = len(self.target.decode(data))
        finding = Finding(
            vfuzz=vfuzz.__version__,
            target=self.spec.target,
            signature=signature,
            check=check.id,
            title=check.title,
            site=raw["site"],
            op=raw["op"],
            obj=raw["obj"],
            obj_id=raw["obj_id"],
            message=raw["message"],
            era=era,
            quirks=self.spec.quirks,
            found=datetime.now(UTC).isoformat(timespec="seconds"),
            worker=self.spec.index,
            executions=self.core.counters()["executions"],
            ops_raw=ops,
            ops=ops,
        )
        mail = Mail(finding=finding, program=data)
        self.pulse.post_mail(msgspec.msgpack.encode(mail))
        try:
            new = store_mail(Path(self.spec.findings), mail)
        except OSError as error:
            self.flush()
            print(f"vfuzz: finding {signature} cannot be written: {error}", file=sys.stderr)
            sys.stderr.flush()
            os._exit(EXIT_DISK)
        self.pulse.clear_mail()
        if new:
            self.pulse.set("findings", self.pulse.get("findings") + 1)
            if self.spec.stop_on_first and check.id in (self.spec.stop_checks or (check.id,)):
                self.done()
                os._exit(0)

    def on_pulse(self) -> None:
        """Show the counters; stop when told to."""
        self.flush()
        if self.pulse.get("stop"):
            self.done()
            os._exit(0)

    def flush(self) -> None:
        """Show the counters now."""
        assert self.core is not None
        assert self.mutator is not None
        counters = self.core.counters()
        for name in ("executions", "ops", "violations", "known_hits"):
            self.pulse.set(name, counters[name])
        self.pulse.set("mutations", self.mutator.mutator_calls())
        now = time.monotonic_ns()
        self.pulse.set("pulse_ns", now)
        if now >= self.hits_next_ns:
            self.hits_next_ns = now + HITS_EVERY_NS
            self.write_hits(counters["known"])

    def write_hits(self, known: dict[str, int]) -> None:
        """hits.json: how often each signature was met, keyed "era-index:signature"."""
        hits = {key: known.get(key, 0) for key in (*known, *self.first_hits)}
        for key, count in self.first_hits.items():
            hits[key] += count
        if hits == self.hits_written:
            return
        temporary = self.scratch / "hits.json.tmp"
        try:
            temporary.write_bytes(msgspec.json.encode(hits))
            temporary.replace(self.scratch / "hits.json")
            self.hits_written = hits
        except OSError:
            # A statistic is not worth a campaign; a finding that cannot be written stops it.
            temporary.unlink(missing_ok=True)

    def done(self) -> None:
        """The last pulse."""
        self.hits_next_ns = 0
        self.flush()
        self.pulse.set("state", STATE_DONE)


def main(argv: list[str]) -> NoReturn:
    """Run one worker. The process ends in libFuzzer, or with one of EXIT_*."""
    preloaded = driver.libfuzzer_preloaded()
    try:
        spec = load(Path(argv[1]), WorkerSpec)
        # Merging, libFuzzer starts this again through a shell, which is then the parent.
        die_with_parent(0 if argv[2:] else spec.parent)
        target = api.target(spec.target)
        core = driver.prepare(target, preloaded=preloaded, focus=spec.focus)
        worker = Worker(spec, target)
        from vfuzz.program import mutator

        worker.core, worker.mutator = core, mutator
        core.configure(
            tuple(target.era_index(era) for era in spec.eras),
            target.quirk_mask(spec.quirks),
            frozenset(f"{target.era_index(k.era)}:{k.signature}" for k in target.known()),
            worker.on_violation,
            driver.PULSE_EVERY,
            worker.on_pulse,
        )
        worker.pulse.set("pid", os.getpid())
        worker.pulse.set("state", STATE_FUZZING)
    except Error as error:
        print(f"vfuzz: {error}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(EXIT_BLIND if isinstance(error, BlindRun) else EXIT_ERROR)
    at_c_exit(worker.done)
    # In a merge argv[0] has to be a shell command that starts this again.
    restart = f"{sys.executable} -m vfuzz.engine.worker {argv[1]}"
    arguments = argv[2:] or list(spec.arguments)
    name = restart if spec.mode == "merge" else "vfuzz"
    try:
        driver.fuzz(core, [name, *arguments], preloaded=preloaded)
    except SystemExit as end:
        if end.code:
            raise  # an exception in a callback: at exit libFuzzer still keeps the input
        worker.done()  # libFuzzer returned instead: it was asked to run single inputs
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv)
