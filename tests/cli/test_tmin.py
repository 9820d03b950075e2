# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz tmin`"""

from __future__ import annotations

import pytest

from vfuzz import api

from .conftest import LEDGER

TEXT = f"""\
# target: {LEDGER}
# quirks: Q01, Q04
boot(mode=strict)
get(id=1)
get(id=6)
get(id=2)
read(offset=77) fail(3)
put(id=7)
"""
SMALL = f"""\
# target: {LEDGER}
# era: old
# quirks: Q01, Q04
# C3@ledger_read:deep
boot()
get(id=1)
get(id=2)
read(offset=77)
"""


def test_the_small_program_is_printed_with_figures(vfuzz, write):
    done = vfuzz("tmin", write("a.vf", TEXT))
    assert (done.code, done.out) == (0, SMALL)
    assert done.err.startswith("C3@ledger_read:deep in old: 5 -> 3 ops, ")
    assert " tries, 0." in done.err
    write("small.vf", done.out)
    assert vfuzz("replay", "small.vf").code == 1


def test_it_is_written_as_text_or_binary(vfuzz, write, tmp_path):
    path = write("a.vf", TEXT)
    assert vfuzz("tmin", "-o", "small.vf", path).out == ""
    assert (tmp_path / "small.vf").read_text() == SMALL
    assert vfuzz("tmin", "-o", "small.bin", path).code == 0
    assert (tmp_path / "small.bin").read_bytes() == api.target(LEDGER).parse(SMALL).encode()


def test_what_has_no_violation_cannot_be_made_smaller(vfuzz, write):
    done = vfuzz("tmin", write("a.vf", TEXT), "--quirk", "none")
    assert done.code == 2
    assert "a.vf has no violation in old, new with no quirks" in done.err


@pytest.mark.parametrize("name", ["missing", "d"])
def test_what_cannot_be_read_is_usage(vfuzz, write, name):
    write("d/x", b"")
    assert vfuzz("tmin", name).code == 2
