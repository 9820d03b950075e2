# SPDX-License-Identifier: GPL-2.0-or-later
"""Every file of the corpus is what it should be as a file: spelling, comments, place."""

from __future__ import annotations

import pytest

from .programs import ALL, CORPUS, HEADER, KNOWN, REGRESSIONS, SEEDS, SPDX, TARGETS

every_program = pytest.mark.parametrize("entry", ALL, ids=str)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_file_is_collected(target):
    files = sorted((CORPUS / target.name).rglob("*.*"))
    assert files == sorted(entry.path for entry in ALL if entry.target is target)
    assert any(entry.target is target for entry in SEEDS)


@every_program
def test_canonical_but_for_comments(entry):
    assert entry.calls == str(entry.program).splitlines()


@every_program
def test_round_trips(entry):
    assert entry.target.parse(str(entry.program)) == entry.program
    assert entry.target.decode(entry.program.encode()) == entry.program


@every_program
def test_says_what_it_is(entry):
    assert entry.comments[0] == SPDX
    assert all(line.startswith("# ") for line in entry.comments)
    assert 2 <= len(entry.explanation) <= 4, "two to four lines say which path it takes and why"
    # what looks like a header must be one
    assert not [line for line in entry.explanation if HEADER.match(line.lower())]


@pytest.mark.parametrize("entry", SEEDS, ids=str)
def test_seed_has_no_header(entry):
    assert entry.headers == {}
    assert (entry.source.target, entry.source.eras, entry.source.quirks) == (None, None, None)


@pytest.mark.parametrize("entry", [*REGRESSIONS, *KNOWN], ids=str)
def test_regression_names_its_target_and_eras(entry):
    assert entry.source.target == entry.headers["target"] == entry.target.name
    assert set(entry.eras) <= set(entry.target.eras)
    # an `era` header that names all of them says nothing
    assert "era" not in entry.headers or entry.eras != entry.target.eras
