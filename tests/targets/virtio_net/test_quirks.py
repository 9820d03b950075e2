# SPDX-License-Identifier: GPL-2.0-or-later
"""The quirks of virtio-net-rx: declared in full, acting in the model only, each by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vfuzz
from tests.corpus.programs import KNOWN, SEEDS
from vfuzz.targets.virtio_net import ERAS
from vfuzz.targets.virtio_net.checks import CHECKS
from vfuzz.targets.virtio_net.quirks import QUIRKS

PACKAGE = Path(vfuzz.__file__).parent / "targets/virtio_net"
SIM = Path(vfuzz.__file__).parent / "sim"
MODEL = {path.name: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.p[yx][xi]")}
#: Who judges, and the world that the model lives in.
JUDGES = [PACKAGE / "oracle.pxi", PACKAGE / "device.pxi", *SIM.glob("*.pxi")]

every_quirk = pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.id)


@every_quirk
def test_is_declared_in_full(quirk):
    assert set(quirk.checks) <= {check.id for check in CHECKS}
    assert set(quirk.eras) <= set(ERAS)
    assert quirk.eras == tuple(era for era in ERAS if era in quirk.eras), "oldest era first"
    assert quirk.verified in ("source", "recalled", "planted")
    assert re.fullmatch(r"|CVE-\d{4}-\d{4,}", quirk.cve)
    commits = re.fullmatch(r"[0-9a-f]{12}(, [0-9a-f]{12})*", quirk.fix)
    assert commits or quirk.fix in ("unverified", "none")
    assert (quirk.fix == "none") is quirk.canary


def test_ids_and_names_are_unique():
    for field in ("id", "name"):
        values = [getattr(quirk, field) for quirk in QUIRKS]
        assert len(set(values)) == len(values)
    assert [quirk.id for quirk in QUIRKS if quirk.canary] == ["CANARY"]
    assert len(QUIRKS) > 20


@every_quirk
def test_the_model_has_it(quirk):
    """Its constant is read somewhere, with the fix named beside it where there is one."""
    used = {name for name, text in MODEL.items() if f"quirk(QUIRK_{quirk.id})" in text}
    assert used - {"_gen.pxi"}


@pytest.mark.parametrize("path", JUDGES, ids=lambda path: path.name)
def test_no_judge_knows_of_quirks(path):
    """A check that looked at quirks would find what it was told to find."""
    assert not re.findall(r"QUIRK_\w+", path.read_text(encoding="utf-8"))


#: Reported: what else fires, and why the list of the quirk's checks does not have it.


@pytest.mark.parametrize(
    "quirk",
    [pytest.param(quirk, id=quirk.id) for quirk in QUIRKS],
)
def test_seeds_meet_it_and_nothing_else_breaks(target, quirk):
    """With a quirk on, seeds are as clean as ever or violate what the quirk is expected to; and
    some seed does: the corpus takes every path that was ever wrong."""
    fired = {}
    for seed in [*SEEDS, *KNOWN]:
        if seed.target is not target:
            continue
        for era in quirk.eras:
            result = target.execute(seed.program, era, [quirk.id])
            violation = result.violation
            if violation and not result.known:
                fired.setdefault(violation.check, []).append(f"{seed} ({era}): {violation}")
    others = [line for check in set(fired) - set(quirk.checks) for line in fired[check]]
    assert not others, "\n".join(others)
    assert fired


@every_quirk
def test_cannot_be_switched_on_elsewhere(target, quirk):
    for era in ERAS:
        if era in quirk.eras:
            assert target.execute("boot()", era, [quirk.id]).quirks == (quirk.id,)
        else:
            with pytest.raises(vfuzz.UsageError, match=quirk.id):
                target.execute("boot()", era, [quirk.id])
