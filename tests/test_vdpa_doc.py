# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/vdpa.md agrees with the target: functions, ops, checks, quirks, known findings."""

from __future__ import annotations

import re

from tests.documents import ROOT, Document

DOCUMENT = Document("vdpa")
DOC, TARGET = DOCUMENT.text, DOCUMENT.target
MODEL = ROOT / "vfuzz/targets/vdpa/model"
#: How functions begin that have upstream's names.
UPSTREAM = ("vhost_", "vdpasim_", "vp_vdpa_", "vringh_", "vduse_", "_compat_")


def functions() -> dict[str, set[str]]:
    """The functions of each file of the model."""
    return {
        path.name: set(re.findall(r"^cdef [^(=\n]*?(\w+)\(", path.read_text("utf-8"), re.MULTILINE))
        for path in MODEL.glob("*.pxi")
    }


def test_functions():
    """Each that is named is in its file, and each with an upstream name is named."""
    here = functions()
    untold: set[str] = set()
    for name, section in re.findall(r"\(`model/(\w+\.pxi)`\)\n(.*?)(?=\n##)", DOC, re.DOTALL):
        named = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        assert named, name
        assert named <= here[name], named - here[name]
        untold |= {func for func in here[name] if func.startswith(UPSTREAM)} - named
    untold = {name for name in untold if f"`{name}`" not in DOC}
    assert not untold, sorted(untold)


def test_ops_and_boot_options():
    for op in TARGET.schema.ops:
        assert f"`{op.name}`" in DOC, op.name
    for arg in TARGET.schema.boot:
        assert f"`{arg.name}`" in DOC, arg.name


def test_eras():
    assert tuple(DOCUMENT.rows(r"`linux-[\d.]+`")) == tuple(f"`{era}`" for era in TARGET.eras)


def test_checks():
    DOCUMENT.checks_agree("V", 52)


def test_quirks():
    DOCUMENT.quirks_agree(r"[AB]\d\d", r"linux-[\d.]+\d")


def test_the_dialogue_is_clean():
    """And does what its table says."""
    (text,) = re.findall(r"```\n(# target: vdpa\n.*?)```", DOC, re.DOTALL)
    for era in TARGET.eras:
        result = TARGET.execute(text, era, trace=True)
        assert result.violation is None
        returned = [dict(step.obs)["ret"] for step in result.steps if step.op in range(8)]
        assert returned == [0, 0, 0, 72, 72, 72, 72, 0]
