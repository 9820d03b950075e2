# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of the guest agent that need no guest: the driver's stores, loads and contents."""

from __future__ import annotations

import ctypes
import errno
import os
import zlib
from collections.abc import Iterator

import pytest

from vfuzz.conform import agent

PAGE = agent.PAGE


class Turns:
    """Nobody else is there."""

    def __init__(self, calls: agent.Calls) -> None:
        self.calls = calls
        self.rests = 0

    def mine(self) -> None:
        pass

    def rest(self, first: int | None = None) -> bool:
        if first is not None:
            self.calls.group(first)
        self.calls.flush()
        if first is not None and self.calls.failed(first, self.calls.n):
            return False
        self.rests += 1
        return True


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> agent.Process:
    """A process whose pool is 8 pages of this one; pages 1, 2 and 4 of the area are in it."""
    memory = ctypes.create_string_buffer(8 * PAGE)
    start = ctypes.addressof(memory)
    monkeypatch.setattr(agent, "VIEW", start)
    made = agent.Process([memory] * 8)
    made.mark(1, 2, start, True)
    made.mark(4, 1, start + 5 * PAGE, False)
    return made


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Three eventfds beside each other."""
    base = 600
    for i in range(agent.EVENTFDS):
        agent.put_fd(os.eventfd(0, os.EFD_NONBLOCK), base + i)
    monkeypatch.setattr(agent, "KEPT", base)
    yield base
    for i in range(agent.EVENTFDS):
        os.close(base + i)


def _driver(process: agent.Process) -> agent.Driver:
    driver = agent.Driver(Turns(process.calls))
    driver.begin(process, 8, False, True)
    return driver


def _end(driver: agent.Driver) -> dict[str, int]:
    note = driver.end()
    driver.calls.flush()
    return driver.ended(note)


def test_stores_cross_pages_and_are_all_or_nothing(process: agent.Process):
    driver = _driver(process)
    at = 2 * PAGE - 2
    assert driver.do([("store", at, b"abcd"), ("load", at, 4)], process) == (0, [b"abcd"], None)
    end = 3 * PAGE - 2
    assert driver.do([("store", end, b"abcd")], process) == (-errno.EFAULT, [], None)
    assert driver.do([("load", end, 2)], process) == (0, [b"\0\0"], None)


def test_what_is_read_only_or_not_there_is_a_fault(process: agent.Process):
    driver = _driver(process)
    assert driver.do([("store", 4 * PAGE, b"x")], process)[0] == -errno.EFAULT
    assert driver.do([("load", 4 * PAGE, 1)], process)[0] == 0
    assert driver.do([("load", 0, 1)], process)[0] == -errno.EFAULT
    assert driver.do([("load", agent.AREA_PAGES * PAGE, 1)], process)[0] == -errno.EFAULT
    process.mark(4, 1, 0)
    assert driver.do([("load", 4 * PAGE, 1)], process)[0] == -errno.EFAULT


def test_the_first_failure_ends_an_op(process: agent.Process):
    driver = _driver(process)
    entries = [("call", 0, ("refuse", errno.EBUSY)), ("store", PAGE, b"x")]
    assert driver.do(entries, process) == (-errno.EBUSY, [], None)
    assert driver.do([("answer", errno.ENOENT, None)], process) == (-errno.ENOENT, [], None)
    assert driver.do([("load", PAGE, 1)], process) == (0, [b"\0"], None)


def test_contents_are_the_pages_by_number(process: agent.Process, kept: int):
    driver = _driver(process)
    entries = [("store", PAGE, b"x"), ("store", 2 * PAGE, b"y"), ("run", 0, None)]
    ret, _, contents = driver.do(entries, process)
    first, second = (zlib.crc32(c.ljust(PAGE, b"\0"), i) for i, c in enumerate((b"x", b"y")))
    assert (ret, contents) == (0, (first + second) & 0xFFFFFFFF)
    assert driver.turns.rests == 1
    assert driver.do([("kick", 2, None), ("kick", 2, None)], process)[0] == 0
    assert _end(driver) == {"contents": contents, "e0": 0, "e1": 0, "e2": 2}
    assert _end(driver) == {"contents": 0, "e0": 0, "e1": 0, "e2": 0}


def test_the_device_does_not_work_behind_what_failed(process: agent.Process, kept: int):
    driver = _driver(process)
    driver.do([("store", PAGE, b"x")], process)
    rests = driver.turns.rests
    entries = [("call", 0, ("close_fd", 100_000)), ("run", 0, None)]
    assert driver.do(entries, process) == (-errno.EBADF, [], None)
    assert driver.turns.rests == rests


def test_the_devices_turn_is_passed_over_behind_a_call_that_failed(process: agent.Process):
    calls = process.calls
    with open(os.devnull, "rb") as file:
        turns = agent.Turns.__new__(agent.Turns)
        turns.calls, turns.load, turns.last = calls, file.fileno(), ctypes.create_string_buffer(4)
        first = calls.add(agent.SYS_CLOSE, 100_000)
        assert not turns.rest(first)
    assert [calls.ret(i) for i in range(first, calls.n)] == [-errno.EBADF] + [agent.UNDONE] * 3


def test_with_user_addresses_contents_are_what_the_process_sees(process: agent.Process):
    driver = _driver(process)
    driver.begin(process, 8, True, False)
    driver.do([("store", 2 * PAGE, b"y")], process)
    assert driver.contents(8)[0] == zlib.crc32(b"y".ljust(PAGE, b"\0"), 2)


def test_calls_are_made_in_their_order_and_a_group_ends_with_the_first_that_fails():
    calls = agent.Calls()
    there = calls.put(b"abc")
    first = calls.add(agent.SYS_CLOSE, 1 << 20)  # no such file
    calls.add(agent.COPY, there, calls.put(b"x"), 1)
    calls.group(first)
    last = calls.add(agent.COPY, there + 1, calls.put(b"y"), 1)
    calls.flush()
    assert [calls.ret(i) for i in range(3)] == [-errno.EBADF, agent.UNDONE, 0]
    assert calls.got(there, 3) == b"ayc"
    calls.flush()  # nothing is made twice
    calls.add(agent.COPY, there + 2, calls.put(b"z"), 1)
    calls.flush()
    assert calls.ret(last) == 0
    assert calls.got(there, 3) == b"ayz"
    calls.clear()
    assert calls.add(agent.SYS_CLOSE, 1 << 20) == 0


def test_memory_that_is_not_there_yet_is_not_touched(process: agent.Process):
    driver = _driver(process)
    driver.begin(process, 8, True, False)
    answer = process.do(("map_vma", 6, 2, False, False, 0, 0))
    assert answer == (0, None)
    assert process.mapped
    at = agent.AREA + 7 * PAGE
    assert driver.do([("store", 7 * PAGE, b"z")], process)[0] == 0
    assert not process.mapped
    assert [one for one in driver._runs(8) if one[2] >= 6] == [(at, 1, 7)]
    process.anonymous[6] = 0  # pages of a file may be there without being mapped
    assert [one[2] for one in driver._runs(8) if one[2] >= 6] == [6, 7]
    assert process.do(("unmap", 6, 2)) == (0, None)
    assert driver.do([("load", 7 * PAGE, 1)], process)[0] == -errno.EFAULT
