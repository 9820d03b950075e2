# SPDX-License-Identifier: GPL-2.0-or-later
"""libFuzzer's output is the only place where it tells coverage."""

from __future__ import annotations

import pytest

from vfuzz.engine import log
from vfuzz.engine.log import LogTail, Sight, parse_line, tail


@pytest.mark.parametrize(
    ("line", "sight"),
    [
        (
            b"#65536\tpulse  cov: 523 ft: 2301 corp: 330/41Kb lim: 1040 exec/s: 152 rss: 72Mb",
            Sight(65536, "pulse", 523, 2301, 330),
        ),
        (
            b"#2\tINITED cov: 1 ft: 2 corp: 1/1b exec/s: 0 rss: 45Mb",
            Sight(2, "INITED", 1, 2, 1),
        ),
        (b"#2\tINITED exec/s: 0 rss: 45Mb", Sight(2, "INITED", 0, 0, 0)),
        (
            b"#708\tNEW    cov: 967 ft: 3678 corp: 344/167Kb lim: 1040 exec/s: 0 rss: 49Mb L: 816/"
            b"1040 MS: 3 Custom-Custom-CustomCrossOver-",
            Sight(708, "NEW", 967, 3678, 344),
        ),
        (b"INFO: Seed: 7", None),
        (b"    #1 0x55d836 in frame file.c:1", None),
        (b"#not a line", None),
        (b"", None),
    ],
)
def test_status_lines_are_read_and_others_are_not(line, sight):
    assert parse_line(line) == sight


def test_a_log_is_followed_as_it_grows(tmp_path):
    path = tmp_path / "log"
    follower = LogTail(path)
    follower.poll()
    assert follower.last is None
    with path.open("ab", buffering=0) as file:
        file.write(b"INFO: Loaded 2 modules   (4139 inline 8-bit counters): 43 [0x1, 0x2), \n")
        file.write(b"#1024\tpulse  cov: 4 ft: 5 corp: 6/1b exec/s: 0 rss: 1Mb\n#2000\tINIT")
        follower.poll()
        assert follower.counters == 4139
        assert follower.inited is None
        assert follower.last == Sight(1024, "pulse", 4, 5, 6)
        file.write(b"ED cov: 7 ft: 8 corp: 9/1b exec/s: 0 rss: 1Mb\n")
        follower.poll()
        assert follower.inited == follower.last == Sight(2000, "INITED", 7, 8, 9)
        file.write(b"#4000\tDONE cov: 17 ft: 8 corp: 9/1b exec/s: 0 rss: 1Mb\n")
        follower.next_process()
        assert follower.inited is None
        assert follower.counters is None
        file.write(b"#5\tINITED cov: 17 ft: 8 corp: 9/1b exec/s: 0 rss: 1Mb\n")
        follower.poll()
    assert follower.inited == Sight(5, "INITED", 17, 8, 9)
    assert follower.begin == Sight(2000, "INITED", 7, 8, 9)


def test_a_long_log_is_cut_and_its_end_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "LOG_MAX", 1000)
    monkeypatch.setattr(log, "LOG_KEEP", 100)
    path = tmp_path / "log"
    follower = LogTail(path)
    with path.open("ab", buffering=0) as file:
        for number in range(100):
            file.write(b"#%d\tNEW cov: 1 ft: 2 corp: 3/1b exec/s: 0 rss: 1Mb\n" % number)
        follower.poll()
        assert path.stat().st_size == 0
        file.write(b"#777\tNEW cov: 4 ft: 5 corp: 6/1b exec/s: 0 rss: 1Mb\n")
        follower.poll()
    assert follower.last is not None
    assert follower.last.runs == 777
    kept = (tmp_path / "log.1").read_text()
    assert kept.startswith("#")
    assert kept.endswith("#99\tNEW cov: 1 ft: 2 corp: 3/1b exec/s: 0 rss: 1Mb\n")
    assert len(kept) <= 100


def test_the_tail_has_whole_lines(tmp_path):
    path = tmp_path / "log"
    path.write_text("first line\nsecond line\nthird line\n")
    assert tail(path, 20) == "third line\n"
    assert tail(path) == path.read_text()
    assert tail(tmp_path / "missing") == ""
