# SPDX-License-Identifier: GPL-2.0-or-later
"""Statistics: written, resumed, and begun anew when the file is damaged."""

from __future__ import annotations

import sqlite3

import pytest

from vfuzz.engine.stats import SAMPLE_FIELDS, Stats
from vfuzz.errors import EXIT_FAILED, Error


def fill(stats: Stats) -> None:
    stats.begin("now", "ledger", "old new", "", 2, 7)
    stats.sample({name: number for number, name in enumerate(SAMPLE_FIELDS)})
    stats.known({("old", "C3@x:y"): 4})
    stats.known({("old", "C3@x:y"): 9})
    stats.end("later", 1000, 5000, 1)


def test_runs_add_up(tmp_path):
    path = tmp_path / "stats.sqlite"
    for _ in range(2):
        stats = Stats(path)
        assert stats.notice == ""
        fill(stats)
        stats.close()
    db = sqlite3.connect(path)
    assert db.execute("SELECT id, executions, exit_code FROM runs").fetchall() == [
        (1, 1000, 1),
        (2, 1000, 1),
    ]
    assert db.execute("SELECT run, t_s, rss_kib FROM samples").fetchall() == [(1, 0, 9), (2, 0, 9)]
    assert db.execute("SELECT run, hits FROM known").fetchall() == [(1, 9), (2, 9)]


@pytest.mark.parametrize("damage", ["text", "middle"])
def test_a_damaged_file_is_moved_aside(tmp_path, damage):
    path = tmp_path / "stats.sqlite"
    stats = Stats(path)
    fill(stats)
    stats.close()
    data = bytearray(path.read_bytes())
    if damage == "text":
        data[:] = b"this was a database once"
    else:
        data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    stats = Stats(path)
    assert "was damaged" in stats.notice
    assert "stats.sqlite.damaged-1" in stats.notice
    fill(stats)
    stats.close()
    assert (tmp_path / "stats.sqlite.damaged-1").read_bytes() == data
    path.write_bytes(b"damaged again")
    assert "damaged-2" in Stats(path).notice


def test_a_place_that_cannot_be_written_is_a_failure(tmp_path):
    (tmp_path / "stats.sqlite").mkdir()
    with pytest.raises(Error, match=r"cannot be written: .*corpus and findings are safe") as caught:
        Stats(tmp_path / "stats.sqlite")
    assert caught.value.exit_code == EXIT_FAILED


def test_a_disk_that_fills_up_is_a_failure(tmp_path):
    stats = Stats(tmp_path / "stats.sqlite")
    stats._db.execute("PRAGMA max_page_count = 8")
    stats.begin("now", "ledger", "old", "", 1, 1)

    def fill_up() -> None:
        for _ in range(10_000):
            stats.sample(dict.fromkeys(SAMPLE_FIELDS, 1))

    with pytest.raises(Error, match="cannot be written: database or disk is full"):
        fill_up()
