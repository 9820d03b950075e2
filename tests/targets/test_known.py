# SPDX-License-Identifier: GPL-2.0-or-later
"""The known findings of each target: declared once, at a site that exists, met in their era."""

from __future__ import annotations

from pathlib import Path

import pytest

import vfuzz
from tests.corpus.programs import TARGETS
from vfuzz.sanitizer.registry import parse_signature

SIM = Path(vfuzz.__file__).parent / "sim"
#: One program of each target that fires a known finding in every era.
STANDS = {
    "virtio-net-rx": "boot(profile=HOSTILE, features=GUEST_TSO4)\nopen()\nuse(len=69611)\npoll()",
    "vdpa": "open()\nset_owner()\nupdate(npages=2)\ninvalidate(page=1, span=zero)",
}

every_target = pytest.mark.parametrize("target", TARGETS, ids=str)
every_known = pytest.mark.parametrize(
    ("target", "known"),
    [
        pytest.param(target, known, id=f"{target}:{known.era}:{known.signature}")
        for target in TARGETS
        for known in target.known()
    ],
)


@every_known
def test_is_declared_in_full(target, known):
    check, site = parse_signature(known.signature)
    assert known.era in target.eras
    assert check in {check.id for check in target.checks}
    package = Path(target.core.__file__).parent
    sources = [*package.rglob("*.p[yx][xi]"), *SIM.glob("*.pxi")]
    assert any(f'b"{site}"' in path.read_text(encoding="utf-8") for path in sources), (
        "no such site: renamed, or gone"
    )


@every_target
def test_each_is_declared_once(target):
    keys = [(known.era, known.signature) for known in target.known()]
    assert len(set(keys)) == len(keys)


@every_target
def test_one_summary_and_one_page_a_signature(target):
    """In two eras it is still one finding."""
    told = {(known.signature, known.summary, known.doc) for known in target.known()}
    assert len(told) == len({known.signature for known in target.known()})


@every_target
def test_a_result_says_that_it_is_known(target):
    for era in target.eras:
        result = target.execute(STANDS[target.name], era)
        assert result.known in target.known()
        assert (result.known.era, result.known.signature) == (era, result.violation.signature)


@every_target
def test_another_site_of_the_same_check_is_not_known(target):
    for era in target.eras:
        result = target.execute(
            "boot()\nopen()" if target.name == "virtio-net-rx" else
            "boot(memory=scattered)\nopen()\nset_owner()\nupdate(npages=2)\ninvalidate(npages=2)",
            era, quirks=["CANARY"],
        )  # fmt: skip
        assert result.violation is not None
        assert result.known is None
