# SPDX-License-Identifier: GPL-2.0-or-later
"""What a new user gets wrong: an error that says what, where and what to do, before any work."""

from __future__ import annotations

import pytest

from .conftest import LEDGER

HEAD = "# target: vdpa\n"
OUT = {
    "tmin": ("--quirk", "CANARY"),
    "repro": (),
    "fmt": (),
}


@pytest.mark.parametrize("verb", OUT)
@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("none/x", "--out none/x: there is no directory none: make it first"),
        ("there", "--out there is a directory: name a file in it"),
    ],
)
def test_a_place_that_cannot_be_is_usage(vfuzz, write, tmp_path, verb, place, says):
    path = write("a.vf", HEAD + "open()\n")
    (tmp_path / "there").mkdir()
    done = vfuzz(verb, path, "-o", place, *OUT[verb])
    if (verb, place) == ("fmt", "there"):  # it takes several files
        assert done.code == 0
        assert (tmp_path / "there/a.vf").is_file()
        return
    assert done.code == 2
    assert says in done.err
    assert ".tmp" not in done.err


def test_what_cannot_be_written_is_said_by_its_own_name(vfuzz, write):
    done = vfuzz("fmt", write("a.vf", HEAD + "open()\n"), "-o", "/proc/none")
    assert done.code in (2, 3)
    assert "/proc" in done.err
    assert ".tmp" not in done.err


def test_a_wrong_name_in_a_file_is_said_with_the_file(vfuzz, write):
    done = vfuzz("replay", write("a.vf", "# target: vdpa\n# quirks: ZZ\nopen()\n"))
    assert done.code == 2
    assert "vfuzz: a.vf: unknown quirk 'ZZ' of vdpa: there are " in done.err
    assert "`vfuzz quirks vdpa` lists them" in done.err
    assert len(done.err) < 200
    done = vfuzz("replay", write("b.vf", "# target: vdpa\n# era: linux-9\nopen()\n"))
    assert "vfuzz: b.vf: unknown era 'linux-9' of vdpa" in done.err
    assert vfuzz("replay", "b.vf", "--era", "linux-7.0").code == 0


def test_a_wrong_name_in_an_option_is_the_options(vfuzz, write):
    done = vfuzz("replay", write("a.vf", HEAD + "open()\n"), "--quirk", "ZZ")
    assert done.code == 2
    assert "vfuzz: unknown quirk 'ZZ' of vdpa" in done.err


@pytest.mark.parametrize(
    "option", [("--runs", "5"), ("--seeds", "2"), ("--era", "new"), ("--out", "x.md")]
)
def test_options_of_measuring_need_it(vfuzz, write, option):
    write("x", "")
    done = vfuzz("quirks", LEDGER, *option)
    assert done.code == 2
    assert f"{option[0]} is for --measure" in done.err


def test_measuring_does_not_begin_without_a_place_for_its_table(vfuzz, write):
    write("x", "")
    done = vfuzz("quirks", LEDGER, "--measure", "--only", "Q01", "--out", "none/x.md")
    assert done.code == 2
    assert "executions" not in done.err


def test_two_files_of_one_name_are_not_made_one(vfuzz, write, tmp_path):
    one, two = write("a/x.vf", HEAD + "open()\n"), write("b/x.vf", HEAD + "close()\n")
    (tmp_path / "out").mkdir()
    done = vfuzz("fmt", one, two, "-o", "out")
    assert done.code == 2
    assert "several FILEs would be out/x" in done.err
