# SPDX-License-Identifier: GPL-2.0-or-later
"""Many programs on one kernel: guests by boot arguments, restarts, counts, minimising.

A target that can be compared has a module `real`; projection.py says what is in it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from multiprocessing.connection import Connection, wait
from random import Random
from typing import Any

from vfuzz.api import Program, Target
from vfuzz.conform import gcov, kmemleak
from vfuzz.conform.compare import Divergence, Verdict, compare, died, splat_of
from vfuzz.conform.guest import Guest, GuestDied, GuestFailed, GuestSpent
from vfuzz.conform.kernel import Kernel
from vfuzz.conform.kmemleak import Leak
from vfuzz.conform.projection import Impossible, Projection
from vfuzz.engine.inputs import read, seed_files
from vfuzz.errors import Error, UsageError
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

END_S = 5.0  # for the workers, when one ends the session
TELL_S = 0.2
ROW = 1000  # programs in which those of one machine are looked for
UNIT = 100  # programs that a worker takes at a time, at most
GARBAGE_MIN = 200_000  # objects more than there were, until it is looked which are in circles
WASHES = 2
COME = 20  # programs that are made before a worker that asks is heard

_Projected = tuple[Program, Projection]


class _Ending(BaseException):
    """The session of which this process is a worker has ended."""


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

    prepared    programs that went through the model
    impossible  programs that cannot be done, by reason; skipped: ops, by kind and reason
    kinds       ops compared, by kind
    violations  programs that end with one in the model, at an op that the kernel did, by signature
    same        those of them whose last op gave the same in the kernel
    left        those of them after which the kernel had charged pages or pins that nobody has
    lost        what kmemleak found that is no divergence of its own: how many scans did, by its
                signature and that of the model's violation or the divergence that explains it
    lines       of a kernel that counts: how often each line of its sources ran
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
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    lines: Counter[tuple[str, int]] = field(default_factory=Counter)
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

    A machine may be dear to change (`real.MACHINE`), so there are few: one for each MACHINE_SHARE
    programs.
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
        left_out = real.left_out(boot)
        ops = tuple(
            replace(op, fail=None)
            for op in made.ops
            if schema.ops[op.kind].name not in left_out
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


def _without_programs(totals: Totals) -> Totals:
    """Totals for another process: it has the target of the programs."""
    for found in totals.found.values():
        if isinstance(found.verdict.program, Program):
            data: Any = found.verdict.program.data
            found.verdict = replace(found.verdict, program=data)
    return totals


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
        count_lines: bool = False,
        tick: Callable[[Totals], None] = lambda totals: None,
    ) -> None:
        """count_lines: of a kernel that gcov.can_count()."""
        self.target = target
        self.kernel = kernel
        self.era = era
        self.quirks = quirks
        self.jobs = jobs
        self.count_lines = count_lines
        self.real = real_of(target)
        self.totals = Totals()
        self._tick = tick
        self._ending = False  # of a worker: somebody has had enough
        self._spare: dict[tuple[str, ...], Guest] = {}
        self._processor: int | None = None  # of the guests; None: any
        self._scans = kmemleak.can_scan(kernel)
        # Programs of no op, in front of each scan: the address of what was lost last may be left on
        # the stack of a thread of the kernel, and hide it.
        self._wash: list[dict[str, Any]] = []
        # why, by the signature of a leak and whether the model found something in the program
        self._blamed: dict[tuple[str, bool], str | Verdict] = {}
        self._earlier: list[_Projected] = []  # in the guest that is kept, ended by the model

    # ---- one program ----

    def _project(self, program: Program) -> Projection:
        """For the guest. Raises Impossible."""
        projection = self.real.project(program, self.era, self.quirks)
        if projection.needs and not self.kernel.has(projection.needs):
            raise Impossible(f"the kernel was built without {projection.needs}: build it again")
        return projection

    def _verdict(
        self, program: Program, projection: Projection, answer: Any, lost: Sequence[Leak] = ()
    ) -> Verdict:
        ran, log = projection.program, answer[3]
        first, seen, last = self.real.read(projection, answer)
        verdict = compare(ran, projection.result, first, seen, last, tuple(log),
                          projection.skipped, lambda op: self.real.label(projection.calls[op]),
                          self.real.SPOILS, lost,
                          self.real.LEAKS)  # fmt: skip
        return replace(verdict, program=program)

    def one(self, program: Program) -> Verdict:
        """Compare one program, in a guest that is kept. Raises Impossible."""
        projection = self._project(program)
        answers: list[Any] = []
        try:
            spent, lost = self._trial(projection.key, [(program, projection)], answers)
        except GuestDied as dead:
            return died(program, dead.why, dead.log, projection.result, self.real.SPOILS)
        if spent or splat_of(answers[0][3]) is not None:
            self._end(projection.key)
        return self._verdict(program, projection, answers[0], lost)

    def _trial(
        self, key: tuple[str, ...], part: Sequence[_Projected], answers: list[Any]
    ) -> tuple[bool, list[Leak]]:
        """Programs in the guest that is kept, and their answers: did one spend it, and what did
        they lose? Raises GuestDied, after which none is kept."""
        guest = self._guest(key)
        spent = False
        try:
            try:
                guest.run([projection.payload for _, projection in part],
                          lambda _, answer: answers.append(answer))  # fmt: skip
            except GuestSpent:
                spent = True
            return spent, self._ask(key)
        except GuestDied:
            self._spare.pop(key).close()
            raise

    def _guest(self, key: tuple[str, ...]) -> Guest:
        """The guest that is kept, or one that is kept from now on."""
        guest = self._spare.get(key)
        if guest is None:
            self.close()  # memory is for one
            guest = self._spare[key] = self._boot(key)
            if self._scans:
                guest.leaks(kmemleak.of_age(self.kernel))  # of the boot
                self._earlier = []
        return guest

    def _boot(self, key: tuple[str, ...]) -> Guest:
        self.totals.boots += 1
        guest: Guest = self.real.guest_of(self.kernel, key)
        guest.processor = self._processor
        return guest

    def _end(self, key: tuple[str, ...]) -> None:
        """End a guest that is well: it says what it counted."""
        guest = self._spare.pop(key)
        try:
            if self.count_lines and not self._ending:
                with contextlib.suppress(GuestDied):
                    self.totals.lines.update(gcov.counted(self.kernel, guest.counts()))
        finally:
            guest.close()

    # ---- many ----

    def run(self, programs: Iterable[Program]) -> Totals:
        """Compare them all. The totals are those of all runs."""
        started = time.monotonic() - self.totals.seconds
        # the traces of a unit are many objects that stay for a while, and none is in a circle
        often = gc.get_threshold()
        gc.set_threshold(GARBAGE_MIN, *often[1:])
        try:
            if self.jobs == 1:
                for unit in self._units(programs, CHUNK):
                    if unit:
                        self._unit(unit, started)
            else:
                self._with_workers(self._units(programs, ROW), started)
        finally:
            gc.set_threshold(*often)
        self.totals.seconds = time.monotonic() - started
        return self.totals

    def _units(self, programs: Iterable[Program], most: int) -> Iterator[list[Program]]:
        """Programs in parts: of so many in a row those of one machine together. An empty part now
        and then, for programs may take time to come."""
        machines: dict[tuple[int, ...], list[Program]] = {}
        n = 0
        for program in programs:
            boot = program.boot
            machines.setdefault(tuple(boot[name] for name in self.real.MACHINE), []).append(program)
            self._tick(self.totals)
            n += 1
            if n == most:
                yield from self._parts(machines)
                n = 0
                machines.clear()
            elif n % COME == 0:
                yield []
        yield from self._parts(machines)

    def _parts(self, machines: dict[tuple[int, ...], list[Program]]) -> Iterator[list[Program]]:
        size = CHUNK if self.jobs == 1 else UNIT
        for part in machines.values():
            yield from (part[i : i + size] for i in range(0, len(part), size))

    def _unit(self, programs: Sequence[Program], started: float) -> None:
        """Compare some, one after the other, in a guest that stays for the next unit."""
        groups: dict[tuple[tuple[str, ...], bool], list[_Projected]] = {}
        for program in programs:
            self._go_on()
            self.totals.prepared += 1
            self._tick(self.totals)
            try:
                projection = self._project(program)
            except Impossible as why:
                self.totals.programs += 1
                self.totals.impossible[str(why)] += 1
                continue
            # what the model says is lost is looked for apart, so that it hides nothing
            broken = self._scans and projection.result.violation is not None
            groups.setdefault((projection.key, broken), []).append((program, projection))
        for (key, _), group in groups.items():
            group.sort(key=lambda one: one[1].order)
            try:
                self._part(key, group, started)
            except BaseException:
                self.close()
                raise

    def _go_on(self) -> None:
        if self._ending:
            raise _Ending

    def _part(self, key: tuple[str, ...], part: list[_Projected], started: float) -> None:
        """Programs of one boot, in as many guests as they kill."""
        barren = 0
        while part:
            done = 0
            splat = False

            def take(number: int, answer: Any, part: list[_Projected] = part) -> None:
                nonlocal done, splat
                self._go_on()
                program, projection = part[number]
                verdict = self._verdict(program, projection, answer)
                self._count(verdict, projection)
                done = number + 1
                self.totals.seconds = time.monotonic() - started
                self._tick(self.totals)
                if splat_of(answer[3]) is not None:
                    # its memory is not what it was, and KASAN and WARN_ONCE speak but once
                    splat = True
                    raise GuestSpent(done)

            guest = self._guest(key)
            try:
                guest.run([projection.payload for _, projection in part], take)
                self._blame(key, part)
                return
            except GuestSpent as spent:
                if not splat:  # else it is at a later program
                    self._blame(key, part[: spent.done])
                self._end(key)
                part = part[spent.done :]
            except GuestDied as dead:
                self._spare.pop(key).close()
                at = max(dead.program, done)
                if at < len(part):
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

    # ---- what programs lost ----

    def _ask(self, key: tuple[str, ...]) -> list[Leak]:
        """What the guest that is kept lost since it was asked last. Raises GuestDied."""
        if not self._scans or key not in self._spare:
            return []
        if not self._wash:
            schema = self.target.schema
            nothing = ProgramData(tuple(arg.default for arg in schema.boot), ())
            self._wash = [self._project(self.target.program(nothing)).payload] * WASHES
        with contextlib.suppress(GuestSpent):
            self._spare[key].run(self._wash, lambda *_: None)
        return kmemleak.parse(self._spare[key].leaks(kmemleak.of_age(self.kernel)))

    def _blame(self, key: tuple[str, ...], part: Sequence[_Projected]) -> None:
        """Which of these programs lost what their guest has lost? All of them have a violation of
        the model, or none has."""
        try:
            leaks = {leak.signature: leak for leak in self._ask(key)}
        except GuestDied:  # of the scan; what its programs answered is known
            self._spare.pop(key).close()
            return
        earlier = self._earlier  # of this guest: the search may need another
        for signature, leak in leaks.items():
            broken = part[0][1].result.violation is not None
            why = self._blamed.get((signature, broken))
            if why is None:
                why = self._reason(leak, self._search(key, signature, part))
                if isinstance(why, Verdict) and not why.rows:
                    # An address on a stack can hide what is lost, up to a later scan.
                    late = self._reason_late(leak, key, [*earlier, *(part if broken else ())])
                    if late:
                        self.totals.lost[signature, late] += 1
                        continue
                self._blamed[signature, broken] = why
            if isinstance(why, str):
                self.totals.lost[signature, why] += 1
            elif why.divergence is not None:
                self.totals.agreed -= 1
                self._keep(why, why.divergence)
        if self._scans and part and part[0][1].result.violation is not None:
            self._earlier = [*self._earlier, *part][-CHUNK:]

    def _reason_late(
        self, leak: Leak, key: tuple[str, ...], ended: Sequence[_Projected]
    ) -> str:
        """The same of what no trial shows, from programs that the model ended: one that does show
        it, else one of which the model says that it loses something. "": there is none."""
        if not ended:
            return ""
        why = self._reason(leak, self._search(key, leak.signature, ended))
        if isinstance(why, str):
            return why
        found = [projection.result.violation for _, projection in ended]
        said = [each.signature for each in found if each and each.check in self.real.LEAKS]
        return said[-1] if said else ""

    def _reason(self, leak: Leak, few: Sequence[_Projected]) -> str | Verdict:
        """Why these programs lost something: the model's violation that says so or comes before it,
        or another divergence, whose consequence it is; by their signatures. Else a verdict."""
        program, projection = few[-1]
        verdict = self.one(program)
        if verdict.divergence is None:
            violation = projection.result.violation
            if leak.signature in verdict.lost and violation is not None:
                return violation.signature
        elif verdict.divergence.signature == leak.signature:
            return verdict
        else:
            return verdict.divergence.signature
        words = f"{leak.size} bytes that nobody points at, after {len(few)} programs"
        divergence = Divergence(leak.signature, len(program), "kmemleak", "lost", "nothing",
                                words, leak.text)  # fmt: skip
        return Verdict(program, (), 0, 0, None, divergence)

    def _search(
        self, key: tuple[str, ...], signature: str, part: Sequence[_Projected]
    ) -> Sequence[_Projected]:
        """The fewest in a row that lose it when they are done again."""
        while len(part) > 1:
            self._go_on()
            self._tick(self.totals)
            half = len(part) // 2
            for some in (part[:half], part[half:]):
                if signature in self._lost(key, some):
                    part = some
                    break
            else:
                break
        return part

    def _lost(self, key: tuple[str, ...], part: Sequence[_Projected]) -> set[str]:
        """What programs lose: signatures. One that ends their guest ends the trial."""
        try:
            spent, lost = self._trial(key, part, [])
        except GuestDied:
            return set()
        if spent:
            self._end(key)
        return {leak.signature for leak in lost}

    # ---- processes: the model has one world, and Python works on one core ----

    def _with_workers(self, units: Iterator[list[Program]], started: float) -> None:
        """Each worker has a model and a guest, and takes the next unit when it is done."""
        context = multiprocessing.get_context("fork")
        workers = {}
        waiting: deque[list[Program]] = deque()
        free: list[Connection] = []
        more = True  # units to come
        gc.collect()
        gc.freeze()  # what is there now need not be looked at in each worker
        try:
            there = sorted(os.sched_getaffinity(0))
            for number in range(self.jobs):
                ours, theirs = context.Pipe()
                # as many guests on each processor, if that can be; else as the scheduler will
                place = there[number % len(there)] if self.jobs % len(there) == 0 else None
                process = context.Process(target=self._worker, args=(theirs, place), daemon=True)
                process.start()
                theirs.close()
                workers[ours] = process
            while workers:
                if more and len(waiting) < self.jobs:
                    unit = next(units, None)
                    more = unit is not None
                    if unit:
                        waiting.append(unit)
                while free and (waiting or not more):
                    unit = waiting.popleft() if waiting else None
                    free.pop().send(unit and [program.encode() for program in unit])
                hungry = more and len(waiting) < self.jobs
                for line in wait(list(workers), 0 if hungry else TELL_S):
                    if self._said(line) is None:
                        workers.pop(line).join()
                    else:
                        free.append(line)
                self.totals.seconds = time.monotonic() - started
                self._tick(self.totals)
        except BaseException:  # Ctrl-C, or one of them failed
            for line, process in workers.items():
                process.terminate()
                with contextlib.suppress(OSError):
                    line.send(None)
            until = time.monotonic() + END_S
            while workers and (left := until - time.monotonic()) > 0:
                for line in wait(list(workers), left):
                    with contextlib.suppress(Exception):
                        if self._said(line) is not None:
                            continue
                    workers.pop(line)
            for process in workers.values():
                process.kill()
            raise
        finally:
            gc.unfreeze()

    def _said(self, line: Connection) -> bool | None:
        """What a worker says: what it has done, which is added; None: it has ended. Raises what
        ended it."""
        try:
            totals, failed = line.recv()
        except EOFError:
            raise Error("a worker of the comparison was ended by somebody else") from None
        self._add(totals)
        if isinstance(failed, BaseException):
            raise failed
        return True if failed is None else None

    def _worker(self, line: Connection, processor: int | None) -> None:
        """One process: asks for units until there is none. processor: for its guests."""

        def end(number: int, frame: object) -> None:
            self._ending = True

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent says when it ends
        signal.signal(signal.SIGTERM, end)
        self._tick = lambda totals: None
        self._spare = {}
        self._processor = processor
        failed: BaseException | bool = True
        try:
            self.totals = Totals()
            while True:
                line.send((_without_programs(self.totals), None))
                self.totals = Totals()
                unit = line.recv()
                if unit is None:
                    break
                self._unit([self.target.decode(data) for data in unit], time.monotonic())
        except (_Ending, EOFError):
            pass
        except Error as error:
            failed = error
        except BaseException:
            failed = RuntimeError(f"in a worker of the comparison:\n{traceback.format_exc()}")
        finally:
            self.close()
            with contextlib.suppress(OSError):
                line.send((_without_programs(self.totals), failed))

    def _add(self, more: Totals) -> None:
        """Add what a worker has done."""
        totals = self.totals
        for each in fields(Totals):
            if each.name not in ("found", "seconds"):
                now, its = getattr(totals, each.name), getattr(more, each.name)
                if isinstance(now, Counter):
                    now.update(its)
                else:
                    setattr(totals, each.name, now + its)
        for signature, found in more.found.items():
            data: Any = found.verdict.program
            program = self.target.program(data)
            found.verdict = replace(found.verdict, program=program)
            known = totals.found.setdefault(signature, found)
            if known is not found:
                known.hits += found.hits
                if len(program) < len(known.verdict.program):
                    known.verdict = found.verdict

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
        calls = projection.calls
        for i, why in projection.skipped.items():
            totals.skipped[f"{calls[i].name}: {why}"] += 1
        if projection.cut is not None:
            at, why = projection.cut
            totals.skipped[f"{calls[at].name}: {why}"] += 1
            totals.skipped["ops behind one that cannot be done"] += len(calls) - at - 1
        if verdict.cut is not None:
            behind = len(calls) - verdict.cut - 1  # -1: it was found when the world ended
            totals.skipped["ops behind a violation of the model"] += max(0, behind)
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
        for key in list(self._spare):
            self._end(key)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
