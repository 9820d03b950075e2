# SPDX-License-Identifier: GPL-2.0-or-later
"""The supervisor: workers over one work directory, from the first to the summary.

It never executes a program itself. Workers fuzz and store what they find; a triage process works
findings out; the supervisor starts, watches, restarts and stops them, keeps the statistics, and
refuses to let a blind run pass for a clean one.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import msgspec

import vfuzz
from vfuzz.conform.follow import Replay, replayed
from vfuzz.engine import driver, inputs, worker
from vfuzz.engine.crashes import take_crashes
from vfuzz.engine.log import last_message
from vfuzz.engine.process import STOP_GRACE_S, Totals, WorkerProcess
from vfuzz.engine.pulse import Pulse
from vfuzz.engine.records import CampaignFile, Finding, Mail, WorkerSpec
from vfuzz.engine.settings import Settings
from vfuzz.engine.stats import Stats
from vfuzz.engine.status import (
    Hits,
    Monitor,
    Rates,
    Status,
    Stored,
    Summary,
    known_hits,
    least,
    most,
)
from vfuzz.engine.store import WorkDir, finding_dirs
from vfuzz.engine.triage import TriageQueue
from vfuzz.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_FINDINGS, BlindRun, Error

__all__ = ["Campaign"]

POLL_S = 0.1
LOOK_S = 1.0  # between two looks at logs, hits and memory
FAST_DEATHS_MAX = 3
TRIAGE_END_S = 30.0  # for findings that are not worked out when the fuzzing ends
MUTATOR_GRACE = 2_000  # executions after the corpus within which the mutator must be called
FEATURE_GRACE = 50_000  # and within which the corpus must have grown

_NO_INPUTS = "ERROR: no interesting inputs were found"


class _Silent:
    def message(self, text: str) -> None:
        pass

    def update(self, status: Status) -> None:
        pass


class Campaign:
    """One run of a campaign. Make it, `run` it, once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.workdir = WorkDir(settings.workdir)
        self.monitor: Monitor = _Silent()
        self.seed = settings.seed if settings.seed is not None else 1 + secrets.randbelow(2**31)
        self.workers: list[WorkerProcess] = []
        self.stats: Stats | None = None
        self.restarts = 0
        self._known = {(k.era, k.signature): k for k in settings.target.known()}
        self._old_findings: set[str] = set()
        self._seen_findings: set[str] = set()
        self._triage = TriageQueue(settings.workdir, settings.minimise_s)
        self._begin_s = time.monotonic()
        self._rates = Rates()
        self._interrupts = 0
        self._sample_at_s = 0.0
        self._replay: Replay | None = None

    # ---------------------------------------------------------------------------------- the run

    def run(self, monitor: Monitor) -> Summary:
        """Run to the end and return the summary. Raises Error before the first worker starts."""
        self.monitor = monitor
        self._open()
        stopped, error = "failed", ""
        try:
            with self._signals():
                try:
                    settings = self.settings
                    where = (settings.target, settings.workdir, settings.kernel, settings.quirks)
                    with replayed(*where) as self._replay:
                        stopped = self._supervise()
                except (Error, OSError) as failure:
                    error = str(failure)
                try:
                    self._stop_workers()
                    self._finish_triage()
                except (Error, OSError) as failure:
                    error = error or str(failure)
            summary = self._summary(stopped if not error else "failed", error)
            self._close_stats(summary)
            return summary
        finally:
            for process in self.workers:
                process.kill()
            self._triage.close()
            self.workdir.close()

    def _open(self) -> None:
        settings = self.settings
        fresh = CampaignFile(
            vfuzz=vfuzz.__version__,
            target=settings.target.name,
            quirks=settings.quirks,
            eras=settings.eras,
            seed=self.seed,
            created=_now(),
        )
        campaign = self.workdir.open(fresh)
        try:
            self._recover_mail()
            findings = self.workdir.load_findings()
            self._old_findings = self._seen_findings = set(findings)
            self._triage.add(slug for slug, f in findings.items() if f.kind == "violation")
            if campaign.runs > 1:
                self.monitor.message(
                    f"resuming {settings.workdir}, run {campaign.runs}: "
                    f"{_count(len(findings), 'finding')}"
                )
            self._add_seeds()
            self.stats = Stats(self.workdir.stats_file)
            if self.stats.notice:
                self.monitor.message(self.stats.notice)
            self.stats.begin(
                _now(),
                settings.target.name,
                " ".join(settings.eras),
                " ".join(settings.quirks),
                settings.workers,
                self.seed,
            )
            self.workers = [
                WorkerProcess(self.workdir.workers / str(i), i) for i in range(settings.workers)
            ]
            for process in self.workers:
                process.prepare()
        except BaseException as failure:
            self.workdir.close()
            if isinstance(failure, OSError):
                raise Error(f"{settings.workdir} cannot be used: {failure}") from failure
            raise

    def _add_seeds(self) -> None:
        if not self.settings.seeds:
            return
        target = self.settings.target
        paths = inputs.seed_files(target, self.settings.focus)
        added = sum(
            self.workdir.add_input(inputs.read(path).program(target).encode()) for path in paths
        )
        self.monitor.message(
            f"{_count(len(paths), 'committed seed')}, {added} of them new to the corpus"
            if paths
            else f"no committed seeds for {target.name}: the corpus begins as it is"
        )

    def _supervise(self) -> str:
        """Run the workers; returns why the run ended. Raises Error when it failed."""
        self._begin_s = time.monotonic()
        look_at_s = 0.0
        for process in self.workers:
            self._start(process)
        while True:
            now = time.monotonic()
            for process in self.workers:
                self._attend(process, now)
            self._notice_findings()
            self._work_out()
            if now >= look_at_s:
                look_at_s = now + LOOK_S
                self._look(now)
            if self._replay is not None and (why := self._replay.attend(now)):
                self.monitor.message(why)
            if self._interrupts:
                return "interrupted"
            if self.settings.time_s is not None and now - self._begin_s >= self.settings.time_s:
                return "time"
            if self.settings.stop_on_first and self._seen_findings - self._old_findings:
                return "first finding"
            if all(process.finished for process in self.workers):
                self._look(now)
                return "runs"
            time.sleep(POLL_S)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and a polite kill end the run in good order; a second one hurries it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(number: int, frame: FrameType | None) -> None:
            self._interrupts += 1
            if self._interrupts == 2:
                for process in self.workers:
                    process.kill()

        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        old = {number: signal.signal(number, interrupt) for number in wanted}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    # ---------------------------------------------------------------------------------- workers

    def _start(self, process: WorkerProcess) -> None:
        process.start(self._spec(process))

    def _spec(self, process: WorkerProcess) -> WorkerSpec:
        settings = self.settings
        flags = [
            *driver.flags(settings.target),
            # Distinct for each process, and the same each time the run is repeated.
            f"-seed={1 + (self.seed - 1 + process.index + 1000 * process.starts) % (2**32 - 1)}",
            # Others' inputs come in through the shared corpus; alone, the clock must not matter.
            f"-reload={1 if settings.workers > 1 else 0}",
            "-timeout=25",
            f"-artifact_prefix={process.artifacts}/",
        ]
        if settings.runs is not None:
            done = process.totals().executions
            share = settings.runs // settings.workers
            share += process.index < settings.runs % settings.workers
            flags.append(f"-runs={max(0, share - done)}")
        own = [arg for arg in settings.arguments if arg.startswith("-")]
        directories = [arg for arg in settings.arguments if not arg.startswith("-")]
        return WorkerSpec(
            target=settings.target.path,
            eras=settings.eras,
            quirks=settings.quirks,
            index=process.index,
            findings=str(self.workdir.findings),
            scratch=str(process.home),
            arguments=(*flags, *own, str(self.workdir.corpus), *directories),
            stop_on_first=settings.stop_on_first,
            parent=os.getpid(),
            focus=settings.focus,
        )

    def _attend(self, process: WorkerProcess, now: float) -> None:
        """Deal with a worker that has ended, or start it again when its time has come."""
        if process.finished:
            return
        if not process.running:
            if now >= process.restart_at_s:
                self.restarts += 1
                self._start(process)
            return
        status = process.reap()
        if status is None:
            return
        self._deliver(process)
        crashes = take_crashes(process, self.workdir.findings, self.settings)
        log = process.log_tail()
        blind = self._blindness(process, ended=True)
        process.retire()
        if status == 0:
            if blind:
                raise BlindRun(blind)
            process.finished = True
            return
        if status in (worker.EXIT_BLIND, worker.EXIT_ERROR):
            kind = BlindRun if status == worker.EXIT_BLIND else Error
            raise kind(last_message(log))
        if _NO_INPUTS in log:
            raise BlindRun(
                f"libFuzzer sees no difference between any inputs of {self.settings.target.name}: "
                f"the target is not instrumented for coverage; build it with VFUZZ_BUILD=fuzz"
            )
        delay = process.back_off()
        told = f"exit status {status}" if status > 0 else f"signal {-status}"
        if process.fast_deaths >= FAST_DEATHS_MAX:
            raise Error(
                f"worker {process.index} died {process.fast_deaths} times within seconds of its "
                f"start, last with {told}; the end of {process.log_path}:\n{log}"
            )
        kept = f", {_count(crashes, 'input')} kept" if crashes else ""
        self.monitor.message(
            f"worker {process.index} died with {told}{kept}: starting it again in {delay:g} s"
        )

    def _deliver(self, process: WorkerProcess) -> None:
        """Store the finding that a worker left in its mailbox."""
        mail = process.mail()
        if mail is None:
            return
        _store_or_print(self.workdir.findings, mail)
        assert process.pulse is not None
        process.pulse.clear_mail()

    def _recover_mail(self) -> None:
        """Store what the workers of a killed run had in their mailboxes."""
        for path in sorted(self.workdir.workers.glob("*/stats.bin")):
            try:
                pulse = Pulse(path)
            except (Error, OSError):
                continue  # of another version, or cut short: no worker had begun to use it
            data = pulse.mail()
            if data:
                _store_or_print(self.workdir.findings, msgspec.msgpack.decode(data, type=Mail))
                pulse.clear_mail()
            pulse.close()

    def _blindness(self, process: WorkerProcess, *, ended: bool = False) -> str:
        """Why a worker sees nothing, or "" while there is no sign of it."""
        log, inited = process.log, process.log.inited
        if inited is None or process.pulse is None:
            return ""
        name = self.settings.target.name
        if log.counters == 0:
            return f"no coverage counters of {name} are loaded: build it with VFUZZ_BUILD=fuzz"
        fuzzed = process.pulse.get("executions") - inited.runs
        if fuzzed >= MUTATOR_GRACE and process.pulse.get("mutations") == 0:
            return (
                f"libFuzzer has not called the mutator in {fuzzed:,} executions: the stub of "
                f"vfuzz.program.mutator is not in its reach (is another libFuzzer preloaded?)"
            )
        if fuzzed >= FEATURE_GRACE and log.last is not None and log.last.corpus <= 1:
            return (
                f"no input has shown anything new in {fuzzed:,} executions of {name}: neither "
                f"coverage nor state feedback reaches libFuzzer; build it with VFUZZ_BUILD=fuzz"
            )
        return ""

    def _stop_workers(self) -> None:
        for process in self.workers:
            process.ask_to_stop()
        deadline = time.monotonic() + (0 if self._interrupts > 1 else STOP_GRACE_S)
        for process in self.workers:
            process.wait_stopped(deadline)
            if process.running:
                process.reap()
                self._deliver(process)
                take_crashes(process, self.workdir.findings, self.settings)
                process.retire()
        self._notice_findings()

    # --------------------------------------------------------------------------------- findings

    def _notice_findings(self) -> None:
        for home in finding_dirs(self.workdir.findings):
            if home.name in self._seen_findings:
                continue
            self._seen_findings = self._seen_findings | {home.name}
            finding = msgspec.json.decode((home / "finding.json").read_bytes(), type=Finding)
            self.monitor.message(
                f"finding: {finding.title}: {finding.signature}, after "
                f"{finding.executions:,} programs on {finding.kernel}: {home}"
                if finding.kind == "divergence"
                else f"finding: {finding.title} {finding.signature} in {finding.era} after "
                f"{finding.executions:,} executions of worker {finding.worker}: {home}"
            )
            if finding.kind == "violation":
                self._triage.add([home.name])

    def _work_out(self) -> None:
        for message in self._triage.poll():
            self.monitor.message(message)

    def _finish_triage(self) -> None:
        until = time.monotonic() + (0 if self._interrupts > 1 else TRIAGE_END_S)
        while self._triage.pending:
            if time.monotonic() >= until:
                self.monitor.message(
                    f"{_count(self._triage.pending, 'finding')} not worked out yet: the next run "
                    f"of this work directory does it"
                )
                break
            self._work_out()
            time.sleep(POLL_S / 5)

    # ---------------------------------------------------------------------------------- figures

    def _look(self, now: float) -> None:
        """Read logs and counters, show them, and refuse to go on blind."""
        for process in self.workers:
            process.log.poll()
            blind = self._blindness(process)
            if blind:
                raise BlindRun(blind)
        status = self._status(now)
        self.monitor.update(status)
        if now >= self._sample_at_s:
            self._sample_at_s = now + self.settings.sample_s
            self._sample(status)

    def _totals(self) -> Totals:
        total = Totals()
        for process in self.workers:
            one = process.totals()
            total.executions += one.executions
            total.ops += one.ops
            total.violations += one.violations
            total.known_hits += one.known_hits
            total.mutations += one.mutations
            total.hits.update(one.hits)
        return total

    def _status(self, now: float) -> Status:
        total = self._totals()
        executions_per_s, ops_per_s = self._rates.add(now, total.executions, total.ops)
        hits = Hits()
        for key, count in total.hits.items():
            index, _, signature = key.partition(":")
            hits[(self.settings.target.eras[int(index)], signature)] += count
        begins = [p.log.begin for p in self.workers if p.log.begin is not None]
        lasts = [p.log.last for p in self.workers if p.log.last is not None]
        return Status(
            seconds=round(now - self._begin_s, 1),
            executions=total.executions,
            executions_per_s=executions_per_s,
            ops=total.ops,
            ops_per_s=ops_per_s,
            begin=least(begins),
            now=most(lasts),
            workers=sum(process.running for process in self.workers),
            rss_kib=max((process.rss_kib() for process in self.workers), default=0),
            findings=self._stored(hits),
            known=known_hits(self._known.values(), hits),
            kernel=self._replay.said() if self._replay is not None else "",
        )

    def _stored(self, hits: Hits) -> list[Stored]:
        stored = []
        for slug in sorted(self._seen_findings):
            home = self.workdir.findings / slug
            try:
                finding = msgspec.json.decode((home / "finding.json").read_bytes(), type=Finding)
            except (OSError, msgspec.MsgspecError):
                continue  # deleted by hand while we run
            count = sum(
                n
                for (era, signature), n in hits.items()
                if signature == finding.signature and (era, signature) not in self._known
            )
            new = slug not in self._old_findings
            stored.append(Stored(slug=slug, path=str(home), new=new, hits=count, finding=finding))
        return stored

    def _sample(self, status: Status) -> None:
        assert self.stats is not None
        total = self._totals()
        self.stats.sample(
            {
                "t_s": status.seconds,
                "executions": status.executions,
                "ops": status.ops,
                "cov": status.now.cov,
                "ft": status.now.ft,
                "corpus": status.now.corpus,
                "findings": len(status.open_findings),
                "known_hits": total.known_hits,
                "mutations": total.mutations,
                "rss_kib": status.rss_kib,
            }
        )
        self.stats.known({(known.era, known.signature): known.hits for known in status.known})

    def _summary(self, stopped: str, error: str) -> Summary:
        for process in self.workers:
            process.log.poll()
        now = time.monotonic()
        status = self._status(now)
        # The whole run's rates, not the window's: this is what gets compared and quoted.
        seconds = max(status.seconds, 0.001)
        status.executions_per_s = status.executions / seconds
        status.ops_per_s = status.ops / seconds
        settings = self.settings
        exit_code = EXIT_FINDINGS if status.open_findings else EXIT_CLEAN
        return Summary(
            target=settings.target.name,
            workdir=str(settings.workdir),
            eras=settings.eras,
            quirks=settings.quirks,
            seed=self.seed,
            stopped=stopped,
            error=error,
            exit_code=EXIT_FAILED if error else exit_code,
            restarts=self.restarts,
            status=status,
        )

    def _close_stats(self, summary: Summary) -> None:
        if self.stats is None:
            return
        try:
            self._sample(summary.status)
            self.stats.end(_now(), summary.status.executions, summary.status.ops, summary.exit_code)
        except Error as error:
            summary.error = summary.error or str(error)
            summary.exit_code = EXIT_FAILED
        finally:
            self.stats.close()


def _store_or_print(findings: Path, mail: Mail) -> None:
    """Store a finding from a mailbox; where even that fails, the message carries the program."""
    try:
        worker.store_mail(findings, mail)
    except OSError as error:
        program = vfuzz.target(mail.finding.target).decode(mail.program)
        raise Error(
            f"a finding cannot be written: {error.strerror or error} ({findings}). It is kept in "
            f"the work directory's stats.bin and stored at the next run; here it is too.\n"
            f"{mail.finding.signature} in {mail.finding.era}, "
            f"quirks {', '.join(mail.finding.quirks) or 'none'}:\n{program}"
        ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
