# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel in a campaign's loop: inputs are replayed once, divergences become findings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import vfuzz
from tests.conform.test_session import KERNEL, TARGET, TEXT, Played
from tests.needs import need
from vfuzz.conform import follow
from vfuzz.conform.follow import Follower, Replay
from vfuzz.engine.inputs import read

need("vfuzz.program.codec")

FINE = [(0, None), (0, None), (0, b"\0"), (0, None)]


@pytest.fixture
def follower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follower:
    for name in ("corpus", "findings"):
        (tmp_path / name).mkdir()
    made = Follower(TARGET, tmp_path, KERNEL)

    def play(program: dict[str, Any]) -> list[tuple[Any, ...]]:
        # the kernel reads another status than the model, where it is asked for
        asked = any(step[3][:2] == ("ioctl", 0x8001AF71) for step in program["steps"])
        if asked and len(program["steps"]) > 3:
            return [(0, None), (0, None), (0, b"\4"), (0, None)]
        return [(0, None) for _ in program["steps"]]

    monkeypatch.setattr(made.session, "_boot", lambda key: Played(play))
    return made


def test_each_input_is_replayed_once(follower: Follower, tmp_path: Path):
    assert follower.batch() == 0
    (tmp_path / "corpus" / "a").write_bytes(TARGET.parse("boot()\nopen()\n").encode())
    (tmp_path / "corpus" / "b").write_bytes(b"\1\2\3")
    assert follower.batch() == 2
    assert follower.batch() == 0
    assert follower.session.totals.programs == 2
    assert (tmp_path / follow.LOG).read_text().startswith("2 programs")


def test_a_divergence_becomes_a_finding_once(follower: Follower, tmp_path: Path):
    for name, text in (("a", TEXT), ("b", TEXT.replace("close()", "get(what=STATUS)"))):
        (tmp_path / "corpus" / name).write_bytes(TARGET.parse(text).encode())
        follower.batch()
    (home,) = (tmp_path / "findings").iterdir()
    finding = msgspec.json.decode((home / "finding.json").read_bytes())
    assert finding["signature"] == "kernel get(STATUS).value: model one, kernel another"
    assert (finding["kind"], finding["era"]) == ("divergence", "linux-6.12")
    assert "==vfuzz== DIVERGENCE: get(STATUS).value" in (home / "report.txt").read_text()
    assert str(read(home / "program.vf").program(TARGET)) == (home / "program.vf").read_text()


def test_a_batch_is_not_the_whole_corpus(follower: Follower, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    monkeypatch.setattr(follow, "BATCH_MAX", 2)
    for i in range(3):
        (tmp_path / "corpus" / str(i)).write_bytes(TARGET.parse("boot()\n").encode())
    assert [follower.batch() for _ in range(3)] == [2, 1, 0]


def test_it_stops_when_it_is_asked_to_and_with_the_campaign(follower: Follower):
    follower.stopping = True
    follower.run()
    follower.stopping = False
    follower.parent = 1 << 30
    follower.run()


def test_without_a_kernel_there_is_none(tmp_path: Path):
    with follow.replayed(TARGET, tmp_path, "", ()) as replay:
        assert replay is None
    with (
        pytest.raises(vfuzz.errors.UsageError, match="no kernel"),
        follow.replayed(TARGET, tmp_path, "no-such", ()),
    ):
        raise AssertionError("started")


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    """One whose process ends when the test says so."""
    monkeypatch.setattr(follow.kernels, "find", lambda name: KERNEL)
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho began\necho out of luck\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(follow.sys, "executable", str(program))
    with follow.replayed(TARGET, tmp_path, "played", ()) as made:
        yield made


def _end(replay: Replay, code: int) -> None:
    """As if the process had ended so."""
    replay.process.kill()
    replay.process.wait()
    replay.process.returncode = code


def test_a_replay_that_dies_is_started_again(replay: Replay):
    now = time.monotonic()
    assert replay.attend(now) == ""
    first = replay.process.pid
    _end(replay, -9)
    assert replay.attend(now).startswith("the replay on played ended with -9")
    assert replay.attend(now + 1) == ""
    assert replay.process.pid == first
    assert replay.attend(now + 5) == ""
    assert replay.process.pid != first
    assert replay.said() == "kernel played: nothing replayed yet"


def test_a_replay_that_dies_each_time_ends_the_campaign(replay: Replay):
    for _ in range(follow.DEATHS_MAX - 1):
        _end(replay, -9)
        assert replay.attend(time.monotonic()).endswith("; starting it again")
        replay.attend(time.monotonic() + 5)
    _end(replay, -9)
    with pytest.raises(vfuzz.errors.Error, match="ended with -9"):
        replay.attend(time.monotonic())


def test_a_replay_that_says_why_is_not_started_again(replay: Replay):
    while "luck" not in replay.errors.read_text():
        time.sleep(0.01)
    _end(replay, follow.FAILED)
    with pytest.raises(vfuzz.errors.Error, match="ended with 3: out of luck"):
        replay.attend(time.monotonic())


def test_what_a_run_before_said_is_not_said_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / follow.LOG).write_text("99 programs\n")
    monkeypatch.setattr(follow.kernels, "find", lambda name: KERNEL)
    monkeypatch.setattr(follow.sys, "executable", "/bin/true")
    with follow.replayed(TARGET, tmp_path, "played", ()) as replay:
        assert "nothing replayed yet" in replay.said()
        (tmp_path / follow.LOG).write_text("2 programs\n")
        assert replay.said() == "kernel played: 2 programs"


def test_what_another_run_found_is_not_minimised_again(
    follower: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "corpus/a").write_bytes(TARGET.parse(TEXT).encode())
    follower.batch()
    again = Follower(TARGET, tmp_path, KERNEL)
    monkeypatch.setattr(again.session, "_boot", follower.session._boot)
    monkeypatch.setattr(again.session, "minimise", None)
    assert again.batch() == 1
    assert len(list((tmp_path / "findings").iterdir())) == 1


def test_a_stop_while_it_minimises_keeps_what_was_found(
    follower: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stopped(*_: Any) -> None:
        raise follow._Stop

    monkeypatch.setattr(follower.session, "minimise", stopped)
    (tmp_path / "corpus/a").write_bytes(TARGET.parse(TEXT).encode())
    with pytest.raises(follow._Stop):
        follower.batch()
    (home,) = (tmp_path / "findings").iterdir()
    finding = msgspec.json.decode((home / "finding.json").read_bytes())
    assert (finding["state"], finding["kernel"]) == ("kept", "played")


def test_a_divergence_that_the_kernel_no_longer_shows_is_gone(
    follower: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "corpus/a").write_bytes(TARGET.parse(TEXT).encode())
    follower.batch()
    (home,) = (tmp_path / "findings").iterdir()

    def status() -> str:
        return msgspec.json.decode((home / "finding.json").read_bytes())["status"]

    def again(play: Callable[[Any], Played]) -> Follower:
        made = Follower(TARGET, tmp_path, KERNEL)
        monkeypatch.setattr(made.session, "_boot", play)
        return made

    def mended(program: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(0, bytes(8)) if step[3][0] == "ioctl" else (0, None) for step in program["steps"]]

    again(follower.session._boot).look_again()
    assert status() == "open"
    again(lambda key: Played(mended)).look_again()
    assert status() == "gone"
    again(follower.session._boot).batch()  # and an input shows it once more
    assert status() == "open"
    other = again(lambda key: Played(mended))
    other.kernel = msgspec.structs.replace(KERNEL, name="another")
    other.look_again()
    assert status() == "open"  # of this kernel it says nothing
