# SPDX-License-Identifier: GPL-2.0-or-later
"""A session, with a guest that is played: it answers what the test says."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import vfuzz
from tests.needs import need
from vfuzz.conform import report, session
from vfuzz.conform.guest import GuestDied, GuestFailed, GuestSpent
from vfuzz.conform.kernel import Kernel
from vfuzz.conform.session import Session, generated
from vfuzz.errors import UsageError
from vfuzz.targets.vdpa import real

need("vfuzz.program.codec")

TARGET = vfuzz.target("vdpa")
KERNEL = Kernel(name="played", version="6.12.1", source="", options=(), config_hash="")
TEXT = "boot()\nopen()\nset_owner()\nget(what=STATUS)\nclose()\n"

Play = Callable[[dict[str, Any]], list[tuple[Any, ...]]]


class Played:
    """A guest that answers each program by play()."""

    def __init__(
        self, play: Play, left: tuple[int, int] = (0, 0), log: tuple[str, ...] = ()
    ) -> None:
        self.play = play
        self.left = left
        self.log = log

    def run(self, programs: list[Any], done: Callable[[int, Any], None]) -> None:
        for i, program in enumerate(programs):
            try:
                answers = self.play(program)
            except ZeroDivisionError:
                raise GuestDied(i, "the guest ended", "Kernel panic - not syncing") from None
            done(i, (0, answers, self.left, list(self.log), {}))
            if self.left[0]:
                raise GuestSpent(i + 1)

    def close(self) -> None:
        pass


@pytest.fixture
def with_guests(monkeypatch: pytest.MonkeyPatch) -> Callable[[Play], Session]:
    def make(play: Play) -> Session:
        made = Session(TARGET, KERNEL, "linux-6.12")
        monkeypatch.setattr(made, "_boot", lambda key: Played(play))
        return made

    return make


def fine(program: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What a kernel answers to TEXT."""
    return [(0, bytes(8)) if step[3][0] == "ioctl" else (0, None) for step in program["steps"]]


def broken(program: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The same, but for the status."""
    asked = real._GETS["STATUS"][0]
    return [
        (0, b"\1") if step[3][:2] == ("ioctl", asked) else answer
        for step, answer in zip(program["steps"], fine(program), strict=True)
    ]


def test_what_agrees_is_counted(with_guests):
    totals = with_guests(fine).run([TARGET.parse(TEXT)] * 5)
    assert (totals.programs, totals.agreed, totals.ops) == (5, 5, 20)
    assert totals.kinds["open"] == 5
    assert totals.found == {}


def test_one_signature_for_one_cause_and_the_shortest_program(with_guests):
    more = TEXT.replace("close()", "get(what=STATUS)\nclose()")
    with_broken = with_guests(broken)
    totals = with_broken.run([TARGET.parse(more), TARGET.parse(TEXT)])
    (found,) = totals.unexplained
    assert found.signature == "get(STATUS).value: model one, kernel another"
    assert found.hits == 2
    assert len(found.verdict.program) == 4
    with_broken.minimise(found)
    assert str(found.verdict.program) == "boot()\nopen()\nget(what=STATUS)\n"
    text = report.text(totals, KERNEL, "linux-6.12", (), 7)
    assert ">>> 1   get(what=STATUS)" in text
    assert "value=0x0" in text
    assert "value=0x1" in text
    assert "seed 7" in text
    data = report.as_json(totals, KERNEL, "linux-6.12", (), 7)
    assert data["divergences"][0]["hits"] == 2
    assert data["divergences"][0]["steps"][2]["differs"] == "value"


def test_reports_are_written(with_guests, tmp_path):
    totals = with_guests(broken).run([TARGET.parse(TEXT)])
    report.write(tmp_path, totals, KERNEL, "linux-6.12", ())
    (program,) = tmp_path.glob("*.vf")
    assert program.read_text().startswith("# target: vdpa\n# era: linux-6.12\n")
    assert "DIVERGENCE" in program.with_suffix(".txt").read_text()


def test_what_is_explained_is_no_finding(with_guests, monkeypatch):
    why = real.Explained("get(STATUS).value: model one, kernel another", "linux-6", "a reason")
    monkeypatch.setattr(real, "EXPLAINED", (why,))
    totals = with_guests(broken).run([TARGET.parse(TEXT)])
    assert totals.unexplained == []
    assert "(explained: a reason)" in report.text(totals, KERNEL, "linux-6.12", (), None)


def test_a_dead_guest_costs_one_program(with_guests):
    counter = itertools.count()

    def play(program):
        return 1 / 0 if next(counter) == 2 else fine(program)

    totals = with_guests(play).run([TARGET.parse(TEXT)] * 6)
    assert (totals.programs, totals.agreed, totals.deaths) == (6, 5, 1)
    (found,) = totals.unexplained
    assert found.signature == "guest: Kernel panic - not syncing"


def test_guests_that_do_nothing_end_the_session(with_guests):
    with pytest.raises(GuestFailed, match=f"{session.BARREN_MAX} guests in a row"):
        with_guests(lambda program: 1 / 0).run([TARGET.parse(TEXT)] * 50)


def test_what_cannot_be_done_is_counted_with_the_reason(with_guests):
    programs = [
        TARGET.parse("boot(parent=iommu)\nopen()\n"),
        TARGET.parse("boot(ngroups=3)\nopen()\n"),
        TARGET.parse(TEXT.replace("get(what=STATUS)", "irq_begin()\nget(what=STATUS) fail(1)")),
    ]
    totals = with_guests(fine).run(programs)
    assert sorted(totals.impossible.values()) == [1, 1]
    assert totals.skipped["irq_begin: it is a moment inside of the kernel"] == 1
    assert totals.skipped["get: a failure is injected"] == 1
    assert totals.skipped["ops behind one that cannot be done"] == 1
    assert totals.ops == 2


def test_a_failure_that_does_not_happen_is_none(with_guests):
    text = TEXT.replace("set_owner()", "set_owner() fail(add, 9)")
    totals = with_guests(fine).run([TARGET.parse(text)])
    assert not totals.skipped
    assert totals.ops == 4


def test_generated_programs_are_the_same_again_and_can_be_done():
    programs = list(generated(TARGET, 200, 5))
    assert [p.data for p in generated(TARGET, 200, 5)] == [p.data for p in programs]
    assert [p.data for p in generated(TARGET, 200, 6)] != [p.data for p in programs]
    machines = {real.project(one, "linux-6.12").payload["parameters"] for one in programs}
    assert 2 <= len(machines) <= session.MACHINES_MIN
    assert not any(call.fail for program in programs for call in program.data.ops)


def test_random_programs_have_no_op_that_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session, "seed_files", lambda target: [])
    names = {call.name for program in generated(TARGET, 300, 5) for call in program.ops}
    assert names == {op.name for op in TARGET.schema.ops} - set(real.left_out({"parent": 0}))


def test_other_targets_say_so():
    with pytest.raises(UsageError, match="ring cannot be compared with a kernel yet"):
        Session(vfuzz.target("ring"), KERNEL, "1")


def test_what_does_not_happen_alone_says_so(with_guests):
    counter = itertools.count()
    made = with_guests(lambda program: (fine if next(counter) else broken)(program))
    (found,) = made.run([TARGET.parse(TEXT)]).unexplained
    made.minimise(found)
    assert not found.alone
    assert "does not happen each time" in report.text(made.totals, KERNEL, "linux-6.12", (), None)


def test_what_does_not_happen_each_time_says_so(with_guests):
    asked = []

    def now_and_then(program: dict[str, Any]) -> list[tuple[Any, ...]]:
        asked.append(program)
        return broken(program) if len(asked) < 3 else fine(program)

    made = with_guests(now_and_then)
    (found,) = made.run([TARGET.parse(TEXT)]).unexplained
    made.minimise(found)  # it holds once more, and then no longer
    assert not found.alone
    assert found.verdict.program == TARGET.parse(TEXT)


def test_a_guest_that_is_spent_is_followed_by_another(with_guests, monkeypatch):
    made = with_guests(fine)
    boots = []
    monkeypatch.setattr(made, "_boot", lambda key: boots.append(key) or Played(fine, (3, 3)))
    totals = made.run([TARGET.parse(TEXT)] * 4)
    assert (totals.programs, totals.deaths, len(boots)) == (4, 0, 4)
    (found,) = totals.unexplained
    assert found.signature == "shutdown.pinned: model less, kernel more"
    assert found.hits == 4
    made.minimise(found)
    assert len(found.verdict.program) == 0


def test_a_guest_whose_log_says_that_it_is_broken_is_followed_by_another(with_guests, monkeypatch):
    made = with_guests(fine)
    guests = []

    def boot(key: tuple[str, ...]) -> Played:
        guests.append(Played(fine, log=("BUG: KASAN: use-after-free in f+0x1/0x2",)))
        return guests[-1]

    monkeypatch.setattr(made, "_boot", boot)
    totals = made.run([TARGET.parse(TEXT)] * 3)
    assert (totals.programs, len(guests)) == (3, 3)
    (found,) = totals.unexplained
    assert (found.signature, found.hits) == ("log: BUG: KASAN: use-after-free in f+N/N", 3)
    for _ in range(2):  # and one that is kept for single programs is not kept then
        assert made.one(TARGET.parse(TEXT)).divergence.signature == found.signature
    assert len(guests) == 5


@pytest.mark.parametrize("jobs", [1, 2])
def test_guests_say_what_they_counted_when_they_end(with_guests, monkeypatch, jobs):
    made = with_guests(fine)
    made.jobs, made.count_lines = jobs, True

    def play(program: dict[str, Any]) -> list[tuple[Any, ...]]:
        if len(program["steps"]) == 3:
            raise ZeroDivisionError
        return fine(program)

    class Counting(Played):
        def counts(self) -> list[tuple[str, bytes]]:
            return [("one", b"3")]

    monkeypatch.setattr(made, "_boot", lambda key: Counting(play))
    monkeypatch.setattr(
        session.gcov, "counted",
        lambda kernel, files: {(path, 1): int(data) for path, data in files},
    )  # fmt: skip
    dies = TARGET.parse("boot()\nopen()\nset_owner()\nclose()\n")
    with made:
        totals = made.run([TARGET.parse(TEXT), dies, TARGET.parse(TEXT)])
    assert totals.deaths == 1
    assert totals.lines == {("one", 1): 3}  # of the second guest: the first died


def test_ctrl_c_ends_the_guests_and_keeps_the_counts(with_guests, monkeypatch):
    made = with_guests(fine)
    closed = []

    def play(program: dict[str, Any]) -> list[tuple[Any, ...]]:
        if made.totals.programs == 2:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.3)  # by now it has arrived
        return fine(program)

    class Closed(Played):
        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(made, "_boot", lambda key: Closed(play))
    with pytest.raises(KeyboardInterrupt):
        made.run([TARGET.parse(TEXT)] * 9)
    assert (made.totals.programs, made.totals.agreed, len(closed)) == (2, 2, 1)


def test_two_workers_say_what_one_process_says(with_guests, monkeypatch):
    programs = [*generated(TARGET, 120, 5), *[TARGET.parse(TEXT)] * 30]
    programs += [TARGET.parse("boot(parent=iommu)\nopen()\n")] * 3

    def play(program: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [
            (0, ([], None)) if step[3][0] == "guest" else answer
            for step, answer in zip(program["steps"], broken(program), strict=True)
        ]

    def totals_of(jobs: int) -> session.Totals:
        made = with_guests(play)
        made.jobs = jobs
        return made.run(programs)

    one, two = totals_of(1), totals_of(2)
    assert two.programs == len(programs)
    for name in ("programs", "prepared", "agreed", "ops", "observables", "cut", "impossible",
                 "skipped", "kinds", "violations", "same", "left"):  # fmt: skip
        assert getattr(one, name) == getattr(two, name), name
    assert one.found
    assert {s: (f.hits, len(f.verdict.program)) for s, f in one.found.items()} == {
        s: (f.hits, len(f.verdict.program)) for s, f in two.found.items()
    }


def test_what_ends_a_worker_ends_the_session(with_guests):
    made = with_guests(lambda program: 1 / 0)
    made.jobs = 2
    with pytest.raises(GuestFailed, match=f"{session.BARREN_MAX} guests in a row"):
        made.run([TARGET.parse(TEXT)] * 200)
    made = with_guests(lambda program: [][1])
    made.jobs = 2
    with pytest.raises(RuntimeError, match="IndexError"):
        made.run([TARGET.parse(TEXT)] * 200)


def test_ctrl_c_asks_the_workers_what_they_have_done(with_guests, monkeypatch):
    def play(program: dict[str, Any]) -> list[tuple[Any, ...]]:
        time.sleep(0.002 * len(program["steps"]))
        return fine(program)

    made = with_guests(play)
    made.jobs = 2
    asked = []

    def tick(totals: session.Totals) -> None:
        if totals.programs:
            asked.append(totals.programs)
            raise KeyboardInterrupt

    made._tick = tick
    # when the first worker has done its unit the other one is in the middle of a longer one
    longer = TARGET.parse(TEXT.replace("close()", "get(what=STATUS)\n" * 4 + "close()"))
    with pytest.raises(KeyboardInterrupt):
        made.run([TARGET.parse(TEXT)] * 100 + [longer] * 300)
    assert asked[0] < made.totals.programs < 400
    assert made.totals.agreed == made.totals.programs
