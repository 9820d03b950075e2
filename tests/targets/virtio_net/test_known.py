# SPDX-License-Identifier: GPL-2.0-or-later
"""The known findings of virtio-net-rx: declared once, at a site that exists, met in their era."""

from __future__ import annotations

from pathlib import Path

import pytest

import vfuzz
from vfuzz.sanitizer.registry import parse_signature
from vfuzz.targets.virtio_net import ERAS
from vfuzz.targets.virtio_net.checks import CHECKS
from vfuzz.targets.virtio_net.known import KNOWN

ROOT = Path(vfuzz.__file__).parent.parent
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("targets/virtio_net", "sim")
    for path in (ROOT / "vfuzz" / folder).rglob("*.p[yx][xi]")
)

every_known = pytest.mark.parametrize(
    "known", KNOWN, ids=lambda known: f"{known.era}:{known.signature}"
)

OVERLONG = "boot(profile=HOSTILE, features=GUEST_TSO4)\nopen()\nuse(len=69611)\npoll()"


@every_known
def test_is_declared_in_full(known):
    check, site = parse_signature(known.signature)
    assert known.era in ERAS
    assert check in {check.id for check in CHECKS}
    assert f'b"{site}"' in SOURCES, "no such site: renamed, or gone"


def test_each_is_declared_once():
    keys = [(known.era, known.signature) for known in KNOWN]
    assert len(set(keys)) == len(keys)


def test_one_summary_and_one_page_a_signature():
    """In two eras it is still one finding."""
    told = {(known.signature, known.summary, known.doc) for known in KNOWN}
    assert len(told) == len({known.signature for known in KNOWN})


def test_a_result_says_that_it_is_known(target):
    for era in ERAS:
        result = target.execute(OVERLONG, era)
        assert result.known in KNOWN
        assert (result.known.era, result.known.signature) == (era, result.violation.signature)


def test_another_site_of_the_same_check_is_not_known(target):
    result = target.execute("boot()\nopen()", quirks=["CANARY"])
    assert result.violation is not None
    assert result.known is None
