# SPDX-License-Identifier: GPL-2.0-or-later
"""How often a check was asked, read off the counts of lines."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import vfuzz
from tests.needs import need
from vfuzz import coverage
from vfuzz.coverage.exercised import exercised

need("vfuzz.program.codec")

SOURCE = """\
cdef enum:
    CHECK_HANG = CHECK_A5
cdef cold_void read_slow(int a) noexcept nogil:
    if a:
        violation(CHECK_A1, b"", 0)
    else:
        violation(CHECK_A2, b"", 0)
    violation(CHECK_A3, b"", 0)
cdef inline void read(int a) noexcept nogil:
    if unlikely(a < 0
                or a > 9):
        read_slow(a)
    # CHECK_A4 in a comment is none
    judge(a, CHECK_A4)
cdef void hang() noexcept nogil:
    violation(CHECK_HANG, b"", 0)
cdef void step() noexcept nogil:
    if left < 0:
        hang()
"""


def test_the_condition_in_front_is_what_counts(tmp_path):
    path = tmp_path / "m.pxi"
    path.write_text(SOURCE)
    counts = {4: 2, 5: 1, 7: 1, 8: 0, 10: 100, 12: 2, 14: 98, 16: 0, 18: 50, 19: 0}
    target = SimpleNamespace(checks=[SimpleNamespace(id=f"A{n}") for n in range(1, 7)])
    found = SimpleNamespace(target=target, all_counts={path: counts})
    assert exercised(found) == {"A1": 100, "A2": 100, "A3": 100, "A4": 98, "A5": 50, "A6": 0}


@pytest.mark.slow
def test_the_corpus_asks_every_check_of_receiving():
    target = vfuzz.target("virtio-net-rx")
    found = coverage.measure(
        target,
        coverage.runs_of(target, [Path(coverage.committed(target))]),
        ("model", "judge", "sim"),
    )
    asked = exercised(found)
    assert set(asked) == {check.id for check in target.checks}
    assert not [check for check, times in asked.items() if times == 0]
    # the books are looked at after every op of every run
    assert asked["S3"] > found.executions
