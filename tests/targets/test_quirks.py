# SPDX-License-Identifier: GPL-2.0-or-later
"""The quirks of each target: declared in full, acting in the model only, each by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vfuzz
from tests.corpus.programs import KNOWN, REGRESSIONS, SEEDS, TARGETS
from vfuzz.sanitizer.registry import Quirk

SOURCES = Path(vfuzz.__file__).parent
#: Files that judge, or that make the world in which a model lives; by name.
JUDGES = ("oracle*.pxi", "device.pxi", "driver.pxi", "rig.pxi")

every_target = pytest.mark.parametrize("target", TARGETS, ids=str)
every_quirk = pytest.mark.parametrize(
    ("target", "quirk"),
    [pytest.param(t, q, id=f"{t}:{q.id}") for t in TARGETS for q in t.quirks],
)


def package(target: vfuzz.Target) -> Path:
    return Path(target.core.__file__).parent


def in_model(target: vfuzz.Target, quirk: Quirk) -> bool:
    """Its constant is read in the model."""
    return any(
        f"quirk(QUIRK_{quirk.id})" in path.read_text(encoding="utf-8")
        for path in package(target).rglob("*.p[yx][xi]")
    )


@every_quirk
def test_is_declared_in_full(target, quirk):
    assert set(quirk.checks) <= {check.id for check in target.checks}
    assert quirk.eras == tuple(era for era in target.eras if era in quirk.eras), "oldest era first"
    assert quirk.eras
    assert quirk.verified in ("source", "recalled", "inferred", "planted")
    assert re.fullmatch(r"|CVE-\d{4}-\d{4,}", quirk.cve)
    commits = re.fullmatch(r"[0-9a-f]{12}(, [0-9a-f]{12})*", quirk.fix)
    assert commits or quirk.fix in ("unverified", "none")
    assert (quirk.fix == "none") is quirk.canary


@every_target
def test_ids_and_names_are_unique(target):
    for field in ("id", "name"):
        values = [getattr(quirk, field) for quirk in target.quirks]
        assert len(set(values)) == len(values)
    assert [quirk.id for quirk in target.quirks if quirk.canary] == ["CANARY"]
    assert len(target.quirks) > 20


@every_target
def test_the_model_has_them(target):
    assert not [quirk.id for quirk in target.quirks if not in_model(target, quirk)]


@every_target
def test_no_judge_knows_of_quirks(target):
    """A check that looked at quirks would find what it was told to find."""
    judges = [path for name in JUDGES for path in package(target).glob(name)]
    assert judges
    for path in [*judges, *(SOURCES / "sim").glob("*.pxi")]:
        assert not re.findall(r"QUIRK_\w+", path.read_text(encoding="utf-8")), path.name


def met(target: vfuzz.Target, quirk: Quirk) -> dict[str, list[str]]:
    """What fires in which seed with the quirk on, by check. Seeds are clean in every era; so if the
    bug stands in another one, they cannot go where it is, and its regression does."""
    fired: dict[str, list[str]] = {}
    everywhere = quirk.eras == target.eras
    own = [entry for entry in REGRESSIONS if entry.name == quirk.id and not everywhere]
    for entry in [*SEEDS, *KNOWN, *own]:
        if entry.target is not target:
            continue
        for era in quirk.eras:
            result = target.execute(entry.program, era, [quirk.id])
            violation = result.violation
            if violation and not result.known:
                fired.setdefault(violation.check, []).append(f"{entry} ({era}): {violation}")
    return fired


@every_quirk
def test_seeds_meet_it_and_nothing_else_breaks(target, quirk):
    """With a quirk on, seeds are as clean as ever or violate what the quirk is expected to; and
    some seed does: the corpus takes every path that was ever wrong."""
    fired = met(target, quirk)
    others = [line for check in set(fired) - set(quirk.checks) for line in fired[check]]
    assert not others, "\n".join(others)
    assert fired


@every_quirk
def test_cannot_be_switched_on_elsewhere(target, quirk):
    for era in target.eras:
        if era in quirk.eras:
            assert target.execute("boot()", era, [quirk.id]).quirks == (quirk.id,)
        else:
            with pytest.raises(vfuzz.UsageError, match=quirk.id):
                target.execute("boot()", era, [quirk.id])
