# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel in a campaign's loop: inputs are replayed once, divergences become findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import vfuzz
from tests.conform.test_session import KERNEL, TARGET, TEXT, Played
from tests.needs import need
from vfuzz.conform import follow
from vfuzz.conform.follow import Follower
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


def test_a_replay_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(follow.kernels, "find", lambda name: KERNEL)
    monkeypatch.setattr(follow.sys, "executable", "/bin/false")
    with follow.replayed(TARGET, tmp_path, "played", ()) as replay:
        replay.process.wait()
        assert replay.failed().startswith("the replay on played ended with 1")
        assert replay.said() == "no program replayed yet"
