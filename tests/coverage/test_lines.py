# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines count, and which ones a comment explains."""

from __future__ import annotations

from pathlib import Path

import pytest

import vfuzz
from vfuzz.coverage import variant
from vfuzz.coverage.lines import explanations, never, part_of

TARGETS = vfuzz.targets()


def test_verdicts_and_what_follows_them_do_not_count():
    text = """\
cdef int f(int a) noexcept nogil:
    if a:
        violation(CHECK_A, b"f:a", b"", 0,
                  b"two (lines", 0, 0, 0)
        return 1
    elif a == 2:
        give_up()
        return 0

    return 2
"""
    assert never(text) == {1, 3, 4, 5, 7, 8, 9}


def test_a_comment_at_the_end_explains_a_statement_and_its_body():
    text = """\
x = 1
if f(a,  # uncovered: nobody asks
     b):
    y = 1

    z = 1
else:
    y = 2   # uncovered: nor here
w = 1
"""
    assert explanations(text) == {
        2: "nobody asks", 4: "nobody asks", 6: "nobody asks", 8: "nor here",
    }  # fmt: skip


def test_a_comment_of_its_own_explains_the_rest_of_its_block():
    text = """\
if a:
    x = 1
    # uncovered: the fault is used up
    # by then
    y = 1
    if b:
        z = 1
w = 1
"""
    why = "the fault is used up by then"
    assert explanations(text) == {5: why, 6: why, 7: why}


def test_parts():
    folder = Path(str(vfuzz.target("vdpa").package.__file__)).parent
    assert part_of(folder / "model/mm.pxi", folder) == "model"
    assert part_of(folder / "_core.pyx", folder) == "model"
    assert part_of(folder / "oracle_ring.pxi", folder) == "judge"
    assert part_of(folder / "rig_vduse.pxi", folder) is None
    assert part_of(folder / "_gen.pxi", folder) is None
    assert part_of(folder.parents[1] / "sim/memory.pxi", folder) == "sim"
    assert part_of(folder.parents[1] / "program/codec.pxd", folder) is None
    assert part_of(Path("elsewhere.pxi"), folder) is None


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_explanation_explains_a_line(target):
    for path in variant.sources_of(target):
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            if "# uncovered:" in line:
                explained = explanations(text)
                assert number in explained or number + 1 in explained or any(
                    why and n > number for n, why in explained.items()
                ), f"{path}:{number}"
