# SPDX-License-Identifier: GPL-2.0-or-later
"""Many programs on one kernel: guests by boot arguments, restarts, counts, minimising.

A target that can be compared has a module `real`; projection.py says what is in it.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from vfuzz.api import Program, Target
from vfuzz.conform.compare import Divergence, Verdict, compare, died, splat_of
from vfuzz.conform.guest import Guest, GuestDied, GuestFailed, GuestSpent
from vfuzz.conform.kernel import Kernel
from vfuzz.conform.projection import Impossible, Projection
from vfuzz.engine.inputs import read, seed_files
from vfuzz.errors import UsageError
from vfuzz.program.generator import generate
from vfuzz.program.minimise import minimise
from vfuzz.program.schema import OpCall, ProgramData

__all__ = ["Found", "Session", "Totals", "generated"]

CHUNK = 2000  # programs that one guest is given at a time
OPS_MAX = 16  # of a generated program, its beginning not counted
MACHINES_MIN = 4
MACHINE_SHARE = 150
TRIES_MAX = 400
BARREN_MAX = 10  # guests in a row that die with their first program

END_S = 5.0  # for the other threads, when one ends the session

_Projected = tuple[Program, Projection]


class _Ending(BaseException):
    """Another thread has ended the session."""


@dataclass
class Found:
    """A signature: how often, the shortest program that shows it, why it is right if it is.

    alone  whether that program also shows it by itself, each time
    """

    signature: str
    verdict: Verdict
    hits: int = 1
    explained: str | None = None
    alone: bool = True


@dataclass
class Totals:
    """What a session has done.

    prepared    programs that went through the model; each does before the first guest boots
    impossible  programs that cannot be done, by reason; skipped: ops, by kind and reason
    kinds       ops compared, by kind
    violations  programs that end with one in the model, at an op that the kernel did, by signature
    same        those of them whose last op gave the same in the kernel
    left        those of them after which the kernel had charged pages or pins that nobody has
    """

    prepared: int = 0
    programs: int = 0
    agreed: int = 0
    ops: int = 0
    observables: int = 0
    cut: int = 0
    boots: int = 0
    deaths: int = 0
    impossible: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    found: dict[str, Found] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def unexplained(self) -> list[Found]:
        return [found for found in self.found.values() if found.explained is None]


def real_of(target: Target) -> Any:
    """A target's module `real`. Raises UsageError when it has none."""
    name = f"{target.package.__name__}.real"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UsageError(
            f"{target.name} cannot be compared with a kernel yet; vdpa and virtio-net-rx can"
        ) from None


def generated(target: Target, count: int, seed: int) -> Iterator[Program]:
    """Random programs without injected failures, on machines that the real system can be.

    A machine is a boot of the guest, so there are few of them: one for each MACHINE_SHARE programs.
    Half of them are grown from a committed seed, which has been where chance does not come.
    """
    schema, real = target.schema, real_of(target)
    rng = Random(seed)
    names = [arg.name for arg in schema.boot]
    start = tuple(schema.call(name) for name in real.BEGIN)
    seeds = [
        tuple(replace(op, fail=None) for op in read(path).program(target).data.ops)
        for path in seed_files(target)
    ]

    def boot_of(made: ProgramData) -> dict[str, int]:
        return real.generated(dict(zip(names, made.boot, strict=True)))

    machines = [boot_of(ProgramData(tuple(arg.default for arg in schema.boot), ()))]
    while len(machines) < max(MACHINES_MIN, count // MACHINE_SHARE):
        machines.append(boot_of(generate(schema, rng, n_ops=0)))
    for _ in range(count):
        made = generate(schema, rng, n_ops=rng.randint(1, OPS_MAX))
        machine = rng.choice(machines)
        boot = {**boot_of(made), **{name: machine[name] for name in real.MACHINE}}
        ops = tuple(
            replace(op, fail=None)
            for op in made.ops
            if schema.ops[op.kind].name not in real.SKIPPED
        )
        if seeds and rng.random() < 0.5:
            ops = _grown(rng, rng.choice(seeds), ops)[: schema.max_ops]
        elif rng.random() < 0.8:
            ops = start + ops
        yield target.program(ProgramData(tuple(boot[name] for name in names), ops))


def _grown(rng: Random, seed: tuple[OpCall, ...], ops: tuple[OpCall, ...]) -> tuple[OpCall, ...]:
    """A seed with ops put in, and some of its own left out or said twice."""
    grown: list[OpCall] = []
    left = list(ops)
    for op in seed:
        grown += [op] * rng.choices((0, 1, 2), (2, 20, 1))[0]
        if left and rng.random() < 0.2:
            grown.append(left.pop())
    return tuple(grown + left)


class Session:
    """Compares programs of a target in an era, with quirks, with a kernel."""

    def __init__(
        self,
        target: Target,
        kernel: Kernel,
        era: str,
        quirks: tuple[str, ...] = (),
        *,
        jobs: int = 1,
        tick: Callable[[Totals], None] = lambda totals: None,
    ) -> None:
        self.target = target
        self.kernel = kernel
        self.era = era
        self.quirks = quirks
        self.jobs = jobs
        self.real = real_of(target)
        self.totals = Totals()
        self._tick = tick
        self._lock = threading.Lock()
        self._ending = False  # a thread failed, or somebody has had enough: all are to end
        self._spare: dict[tuple[str, ...], Guest] = {}

    # ---- one program ----

    def _project(self, program: Program) -> Projection:
        """For the guest. Raises Impossible."""
        return self.real.project(program, self.era, self.quirks)

    def _verdict(self, program: Program, projection: Projection, answer: Any) -> Verdict:
        ran, log = projection.program, answer[3]
        labels = [self.real.label(call) for call in self.real.calls_of(ran)]
        first, seen, last = self.real.read(projection, answer)
        verdict = compare(ran, projection.result, first, seen, last, tuple(log),
                          projection.skipped, labels, self.real.SPOILS)  # fmt: skip
        return replace(verdict, program=program)

    def one(self, program: Program) -> Verdict:
        """Compare one program, in a guest that is kept. Raises Impossible."""
        projection = self._project(program)
        guest = self._spare.get(projection.key)
        if guest is None:
            guest = self._spare[projection.key] = self._boot(projection.key)
        answers: list[Any] = []
        try:
            guest.run([projection.payload], lambda _, answer: answers.append(answer))
        except GuestSpent:
            self._spare.pop(projection.key).close()
        except GuestDied as dead:
            self._spare.pop(projection.key).close()
            return died(program, dead.why, dead.log, projection.result, self.real.SPOILS)
        if splat_of(answers[0][3]) is not None and projection.key in self._spare:
            self._spare.pop(projection.key).close()
        return self._verdict(program, projection, answers[0])

    def _boot(self, key: tuple[str, ...]) -> Guest:
        with self._lock:
            self.totals.boots += 1
        return self.real.guest_of(self.kernel, key)

    # ---- many ----

    def run(self, programs: Iterable[Program]) -> Totals:
        """Compare them all. The totals are those of all runs."""
        started = time.monotonic() - self.totals.seconds
        groups: dict[tuple[str, ...], list[_Projected]] = {}
        for program in programs:
            self.totals.prepared += 1
            self._tick(self.totals)
            try:
                projection = self._project(program)
            except Impossible as why:
                self.totals.programs += 1
                self.totals.impossible[str(why)] += 1
                continue
            groups.setdefault(projection.key, []).append((program, projection))
        work = [
            (key, group[i : i + CHUNK])
            for key, group in groups.items()
            for i in range(0, len(group), CHUNK)
        ]
        work.sort(key=lambda part: -len(part[1]))
        failed: list[BaseException] = []

        def worker(ended: threading.Event) -> None:
            try:
                while not failed:
                    with self._lock:
                        if not work:
                            return
                        key, part = work.pop(0)
                    self._part(key, part, started)
            except BaseException as error:
                failed.append(error)
                self._ending = True
            finally:
                ended.set()

        # not Thread.join(): interrupted once, it takes the thread for one that has ended
        ends = [threading.Event() for _ in range(self.jobs)]
        threads = [threading.Thread(target=worker, args=(e,), daemon=True) for e in ends]
        try:
            for thread in threads:
                thread.start()
            for ended in ends:
                ended.wait()
        except BaseException as error:  # Ctrl-C
            failed.append(error)
            self._ending = True
            for ended in ends:
                ended.wait(END_S)
            raise
        if failed:
            raise failed[0]
        self.totals.seconds = time.monotonic() - started
        return self.totals

    def _part(self, key: tuple[str, ...], part: list[_Projected], started: float) -> None:
        """Programs of one boot, in as many guests as they kill."""
        barren = 0
        while part:
            done = 0

            def take(number: int, answer: Any, part: list[_Projected] = part) -> None:
                nonlocal done
                if self._ending:
                    raise _Ending
                program, projection = part[number]
                with self._lock:  # the model has one world
                    verdict = self._verdict(program, projection, answer)
                    self._count(verdict, projection)
                    done = number + 1
                    self.totals.seconds = time.monotonic() - started
                    self._tick(self.totals)
                if splat_of(answer[3]) is not None:
                    # its memory is not what it was, and KASAN and WARN_ONCE speak but once
                    raise GuestSpent(done)

            guest = self._boot(key)
            try:
                guest.run([projection.payload for _, projection in part], take)
                part = []
            except GuestSpent as spent:
                part = part[spent.done :]
            except GuestDied as dead:
                at = max(dead.program, done)
                if at < len(part):
                    with self._lock:
                        self.totals.deaths += 1
                        program, projection = part[at]
                        self._count(
                            died(program, dead.why, dead.log, projection.result, self.real.SPOILS),
                            projection,
                        )
                    if done == 0 and at == 0:
                        barren += 1
                        if barren >= BARREN_MAX:
                            raise GuestFailed(
                                f"{barren} guests in a row did no program to its end: {dead.why}"
                                f"\n{dead.log[-2000:]}"
                            ) from None
                    else:
                        barren = 0
                part = part[at + 1 :]
            finally:
                guest.close()

    def _count(self, verdict: Verdict, projection: Projection) -> None:
        totals = self.totals
        totals.programs += 1
        totals.ops += verdict.compared
        totals.observables += verdict.observables
        totals.cut += verdict.cut is not None
        if verdict.violation is not None:
            totals.violations[verdict.violation] += 1
            totals.same[verdict.violation] += verdict.same
            totals.left[verdict.violation] += verdict.left
        calls = self.real.calls_of(projection.program)
        for i, why in projection.skipped.items():
            totals.skipped[f"{calls[i].name}: {why}"] += 1
        if projection.cut is not None:
            at, why = projection.cut
            totals.skipped[f"{calls[at].name}: {why}"] += 1
            totals.skipped["ops behind one that cannot be done"] += len(calls) - at - 1
        if verdict.cut is not None:
            totals.skipped["ops behind a violation of the model"] += len(calls) - verdict.cut - 1
        totals.kinds.update(call.name for call in calls[: verdict.compared])
        if verdict.divergence is None:
            totals.agreed += 1
            return
        self._keep(verdict, verdict.divergence)

    def _keep(self, verdict: Verdict, divergence: Divergence) -> None:
        found = self.totals.found.get(divergence.signature)
        if found is None:
            why = [
                entry.reason
                for entry in self.real.EXPLAINED
                if entry.signature == divergence.signature and self.era.startswith(entry.era)
            ]
            self.totals.found[divergence.signature] = Found(
                divergence.signature, verdict, explained=why[0] if why else None
            )
            return
        found.hits += 1
        if len(verdict.program) < len(found.verdict.program):
            found.verdict = verdict

    # ---- smaller ----

    def minimise(self, found: Found, seconds: float = 20.0) -> None:
        """Make the program of a signature smaller, on the kernel too."""

        def holds(data: ProgramData) -> bool:
            nonlocal best
            self._tick(self.totals)
            try:
                verdict = self.one(self.target.program(data))
            except Impossible:
                return False
            if verdict.divergence is None or verdict.divergence.signature != found.signature:
                return False
            best = verdict
            return True

        best = found.verdict
        if not holds(best.program.data):
            found.alone = False
            return
        try:
            data, _ = minimise(
                self.target.schema, found.verdict.program.data, holds,
                deadline_s=seconds, max_tries=TRIES_MAX,
            )  # fmt: skip
        except ValueError:  # the same program said something else the next time
            found.alone = False
            return
        if best.program.data == data:
            found.verdict = best

    def close(self) -> None:
        """End all guests."""
        for guest in self._spare.values():
            guest.close()
        self._spare.clear()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
