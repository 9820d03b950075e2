# SPDX-License-Identifier: GPL-2.0-or-later
"""`vfuzz coverage`"""

from __future__ import annotations

import json

import pytest

from .conftest import LEDGER


def test_what_makes_no_sense_is_usage(vfuzz, write):
    write("file", "")
    assert "no committed corpus" in vfuzz("coverage", LEDGER).err
    assert "did you mean old?" in vfuzz("coverage", LEDGER, "file", "--era", "odl").err
    for arguments in (
        ("nonsense",),
        (LEDGER,),
        (LEDGER, "file", "--era", "odl"),
        ("ring", "file", "--quirk", "Q99"),
        ("ring", "file", "--html", "file"),
        ("ring", "missing"),
        ("ring", "--least", "101"),
        ("ring", "--part", "rig"),
    ):
        assert vfuzz("coverage", *arguments).code == 2, arguments


def test_a_target_in_python_fails_and_says_why(vfuzz, write):
    write("a.vf", f"# target: {LEDGER}\nboot()\n")
    done = vfuzz("coverage", LEDGER, "a.vf")
    assert done.code == 3
    assert "has no Cython source" in done.err


@pytest.mark.slow
def test_the_worked_example(vfuzz, tmp_path, monkeypatch):
    monkeypatch.setenv("VFUZZ_CACHE", str(tmp_path))
    done = vfuzz("coverage", "ring", "--html", tmp_path / "html", "--least", "100")
    assert done.code == 0, done.err
    assert "ring: 100.00% of " in done.out
    assert f"vfuzz: {tmp_path}/html/index.html" in done.err
    assert "is made, once" in done.err
    (tmp_path / "one.vf").write_text("boot()\n")
    less = vfuzz("coverage", "ring", tmp_path / "one.vf", "--least", "99.5", "--json")
    assert less.code == 1
    assert "is less than 99.5 %" in less.err
    data = json.loads(less.out)
    assert data["programs"] == 1
    assert data["lines"] - data["reached"] == sum(len(f["uncovered"]) for f in data["files"])
