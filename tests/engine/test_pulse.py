# SPDX-License-Identifier: GPL-2.0-or-later
"""The page that a worker and its supervisor share."""

from __future__ import annotations

import os
import signal

import pytest

from vfuzz.engine.pulse import FIELDS, MAIL_MAX, SIZE, Pulse
from vfuzz.errors import Error


def test_both_sides_see_the_same(tmp_path):
    mine = Pulse(tmp_path / "stats.bin", create=True)
    theirs = Pulse(tmp_path / "stats.bin")
    for number, name in enumerate(FIELDS):
        mine.set(name, number + 1)
    mine.set("mail_size", 0)
    assert theirs.get("executions") == mine.get("executions") != 0
    assert theirs.read() == mine.read()
    theirs.set("stop", 1)
    assert mine.get("stop") == 1
    theirs.close()
    mine.close()


def test_mail_is_whole_or_absent(tmp_path):
    pulse = Pulse(tmp_path / "stats.bin", create=True)
    assert pulse.mail() == b""
    pulse.post_mail(b"x" * MAIL_MAX)
    pulse.post_mail(b"finding")
    assert Pulse(tmp_path / "stats.bin").mail() == b"finding"
    pulse.clear_mail()
    assert pulse.mail() == b""
    with pytest.raises(ValueError, match="at most"):
        pulse.post_mail(b"x" * (MAIL_MAX + 1))


def test_what_was_written_survives_kill_9(tmp_path):
    path = tmp_path / "stats.bin"
    Pulse(path, create=True).close()
    pid = os.fork()
    if pid == 0:
        pulse = Pulse(path)
        pulse.set("executions", 12345)
        pulse.post_mail(b"last words")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    pulse = Pulse(path)
    assert pulse.get("executions") == 12345
    assert pulse.mail() == b"last words"


def test_its_blocks_are_allocated_when_it_is_made(tmp_path):
    path = tmp_path / "stats.bin"
    Pulse(path, create=True)
    assert path.stat().st_blocks * 512 >= SIZE


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * SIZE])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "stats.bin"
    path.write_bytes(content)
    with pytest.raises(Error, match="not a worker's page"):
        Pulse(path)
