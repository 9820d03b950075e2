# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent as the daemon of VDUSE devices: what it says to the kernel, and its table of pages."""

from __future__ import annotations

import errno
import struct
import threading

import pytest

from vfuzz.conform import agent_vduse
from vfuzz.conform.agent_vduse import PAGE, Vduse

BOUNCE = 1 << 20


@pytest.fixture
def daemon() -> Vduse:
    """One that never spoke with a kernel."""
    made = Vduse.__new__(Vduse)
    made.bounce = BOUNCE
    made.coherent = {}
    made.mode = agent_vduse.ANSWER
    made.features = 1 << 33
    made.taken = [[], []]
    made.opened = [True, True]
    return made


@pytest.mark.parametrize(
    ("request_number", "layout"),
    [
        (agent_vduse.GET_FD, agent_vduse.ENTRY),
        (agent_vduse.GET_INFO, agent_vduse.RANGE),
        (agent_vduse.REG_UMEM, agent_vduse.MEMORY),
        (agent_vduse.DEREG_UMEM, agent_vduse.MEMORY),
        (agent_vduse.VQ_GET_INFO, agent_vduse.INFO),
        (agent_vduse.CREATE, agent_vduse.DEVICE),
        (agent_vduse.DO, agent_vduse.COMMAND),
    ],
)
def test_arguments_are_as_long_as_their_ioctl_says(request_number: int, layout: struct.Struct):
    assert request_number >> 16 & 0x3FFF == layout.size


def test_a_range_of_bounce_pages_is_the_kernels_too(daemon: Vduse):
    assert daemon.address(1, 0, PAGE - 1, False) == (0, PAGE - 1)
    assert daemon.address(0, BOUNCE, BOUNCE, False) == (BOUNCE, BOUNCE)
    assert daemon.address(1, PAGE, 0, False) == (PAGE, 0)


def test_coherent_memory_is_where_the_kernel_put_it(daemon: Vduse):
    daemon.coherent = {3: (0x40000000, 100), 5: (0x50000000, PAGE)}
    assert daemon.address(1, 3 * PAGE, 4 * PAGE, True) == (0x40000000, 0x40000000)
    assert daemon.address(1, BOUNCE + 4 * PAGE, BOUNCE + 6 * PAGE, False) == (
        0x50000000, 0x50000000)  # fmt: skip
    start, last = daemon.address(1, 3 * PAGE + 100, 4 * PAGE, True)
    assert (start, last) == (BOUNCE + 3 * PAGE + 100, BOUNCE + 4 * PAGE)


def _request(kind: int, number: int, value: int = 0) -> bytes:
    return struct.pack("<II16xI", kind, number, value).ljust(agent_vduse.MESSAGE, b"\0")


@pytest.mark.parametrize(
    ("mode", "answers", "taken"),
    [
        (agent_vduse.ANSWER, [(7, 0)], []),
        (agent_vduse.FAIL, [(7, 1)], []),
        (agent_vduse.WRONG_ID, [(1007, 0)], [7]),
        (agent_vduse.SILENT, [], []),
        (agent_vduse.FAULT, [(7, 0)], []),
    ],
)
def test_the_daemon_answers_as_its_mode_says(
    daemon: Vduse, monkeypatch: pytest.MonkeyPatch, mode: int, answers: list, taken: list
):
    said: list[tuple[int, int]] = []
    waiting = [_request(2, 7)]

    def request(device: int, into_nothing: bool) -> bytes | int:
        if not waiting:
            return -errno.EAGAIN
        return -errno.EFAULT if into_nothing else waiting.pop()

    def respond(device: int, number: int, result: int, position: tuple = ()) -> int:
        said.append((number, result))
        return 0

    monkeypatch.setattr(daemon, "request", request)
    monkeypatch.setattr(daemon, "respond", respond)
    daemon.mode = mode
    daemon.turn(0)
    assert said == answers
    assert daemon.taken[0] == taken


def test_features_that_were_not_offered_are_refused(
    daemon: Vduse, monkeypatch: pytest.MonkeyPatch
):
    said: list[int] = []

    def features(fd: int, request: int, data: bytearray) -> int:
        assert request == agent_vduse.GET_FEATURES
        data[:] = (1 << 33 | 1).to_bytes(8, "little")
        return 0

    monkeypatch.setattr(agent_vduse.fcntl, "ioctl", features)
    monkeypatch.setattr(daemon, "respond", lambda _d, _n, result, *_: said.append(result))
    daemon.reply(0, _request(agent_vduse.SET_STATUS, 1, agent_vduse.FEATURES_OK))
    daemon.reply(0, _request(agent_vduse.SET_STATUS, 2, 4))
    daemon.features |= 1
    daemon.reply(0, _request(agent_vduse.SET_STATUS, 3, agent_vduse.FEATURES_OK))
    assert said == [1, 0, 0]


@pytest.mark.parametrize(
    ("mode", "opened", "who"),
    [
        (agent_vduse.ANSWER, True, "daemon"),
        (agent_vduse.FAIL, True, "daemon"),
        (agent_vduse.SILENT, True, "time"),
        (agent_vduse.WRONG_ID, True, "time"),
        (agent_vduse.ANSWER, False, "time"),
    ],
)
def test_time_passes_only_for_a_request_that_nobody_answers(
    daemon: Vduse, mode: int, opened: bool, who: str
):
    over = threading.Event()
    ended_by = []
    looks = []

    def end(by: str) -> None:
        ended_by.append(by)
        over.set()

    def command(number: int, device: int, *arguments: int) -> tuple[int, int]:
        assert (number, arguments) == (agent_vduse.PASS, (agent_vduse.SOON_S,))
        assert len(looks) == agent_vduse.LOOKS  # it was asleep each time
        end("time")
        return 0, 0

    daemon.mode = mode
    daemon.opened = [opened, True]
    daemon.go, daemon.done = threading.Lock(), threading.Lock()
    daemon.go.acquire()
    daemon.done.acquire()
    daemon.sleeps = lambda process: not over.is_set()
    daemon.patience = lambda device, seconds: None
    daemon.turn = lambda device: looks.append(device) if who == "time" else end("daemon")
    daemon.command = command
    threading.Thread(target=daemon.work, daemon=True).start()

    def job() -> int:
        assert over.wait(10)
        return 7

    assert daemon.call(job) == 7
    assert ended_by == [who]
