# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages of docs/findings: each known finding has one, and each program in them fires."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import vfuzz
from vfuzz.sanitizer.registry import Known

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs/findings").glob("*-*.md"))

_FENCE = re.compile(r"^```\n(# target: .*?)^```$", flags=re.MULTILINE | re.DOTALL)
_HEAD = re.compile(r"^# (target|era|fires): (.*)$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Shown:
    """A program as a page shows it, with what its comments say."""

    page: Path
    text: str
    target: str
    eras: tuple[str, ...]
    fires: str


def shown() -> list[Shown]:
    """Every program of every page."""
    found = []
    for page in PAGES:
        for text in _FENCE.findall(page.read_text(encoding="utf-8")):
            said = dict(_HEAD.findall(text))
            eras = tuple(said["era"].split(", "))
            found.append(Shown(page, text, said["target"], eras, said["fires"]))
    return found


def known() -> list[tuple[str, Known]]:
    """(target, entry) of every known finding."""
    return [(target.name, entry) for target in vfuzz.targets() for entry in target.known()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_shows_a_program(page):
    assert any(program.page == page for program in shown())


@pytest.mark.parametrize("program", shown(), ids=lambda p: f"{p.page.stem}-{p.fires}")
def test_program_fires_in_its_eras_only(program):
    target = vfuzz.target(program.target)
    assert set(program.eras) <= set(target.eras)
    for era in target.eras:
        violation = target.execute(program.text, era=era).violation
        signature = violation.signature if violation else None
        if era in program.eras:
            assert signature == program.fires, f"in {era}"
        else:
            assert signature is None, f"in {era}, where the page says nothing of it"


@pytest.mark.parametrize(
    ("name", "entry"), known(), ids=lambda value: getattr(value, "signature", value)
)
def test_known_finding_has_a_page(name, entry):
    page = ROOT / entry.doc
    assert page.exists(), f"{name}: {entry.doc} is missing"
    text = page.read_text(encoding="utf-8")
    assert f"`{entry.signature}`" in text, f"{entry.doc} does not name {entry.signature}"
    index = (page.parent / "README.md").read_text(encoding="utf-8")
    assert f"`{entry.signature}`" in index, f"README.md does not list {entry.signature}"
    assert f"({page.name})" in index, f"README.md does not link {page.name}"


def test_shown_signatures_are_known():
    entries = {(name, entry.era, entry.signature) for name, entry in known()}
    wrong = [
        f"{program.page.name}: {program.fires} in {era}"
        for program in shown()
        for era in program.eras
        if (program.target, era, program.fires) not in entries
    ]
    assert not wrong, "these are in no known.py:\n" + "\n".join(wrong)
