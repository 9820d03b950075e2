# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/vdpa.md agrees with the target: functions, ops, checks, quirks, known findings."""

from __future__ import annotations

import re
from pathlib import Path

import vfuzz

ROOT = Path(__file__).resolve().parent.parent
DOC = (ROOT / "docs/vdpa.md").read_text(encoding="utf-8")
MODEL = ROOT / "vfuzz/targets/vdpa/model"
TARGET = vfuzz.target("vdpa")
#: How functions begin that have upstream's names.
UPSTREAM = ("vhost_", "vdpasim_", "vp_vdpa_", "vringh_", "vduse_", "_compat_")


def rows(pattern: str) -> dict[str, str]:
    """First column to second column, of table rows whose first column matches `pattern`."""
    found = re.findall(rf"^\| ({pattern}) \| ([^|]*) \|", DOC, flags=re.MULTILINE)
    assert len({first for first, _ in found}) == len(found), "a row stands twice"
    return dict(found)


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
    assert tuple(rows(r"`linux-[\d.]+`")) == tuple(f"`{era}`" for era in TARGET.eras)


def test_checks():
    table = rows(r"V\d+")
    assert list(table) == [f"V{number}" for number in range(1, 53)]
    assert {ident for ident, state in table.items() if state == "in"} == {
        check.id for check in TARGET.checks
    }


def test_quirks():
    table = {ident: state for ident, state in rows(r"[AB]\d\d").items() if "quirk" in state}
    ours = {quirk.id: quirk for quirk in TARGET.quirks if not quirk.canary}
    assert set(table) == set(ours)
    for ident, state in table.items():
        named = tuple(re.findall(r"linux-[\d.]+\d", state))
        assert (named or TARGET.eras) == ours[ident].eras, ident


def test_the_dialogue_is_clean():
    """And does what its table says."""
    (text,) = re.findall(r"```\n(# target: vdpa\n.*?)```", DOC, re.DOTALL)
    for era in TARGET.eras:
        result = TARGET.execute(text, era, trace=True)
        assert result.violation is None
        returned = [dict(step.obs)["ret"] for step in result.steps if step.op in range(8)]
        assert returned == [0, 0, 0, 72, 72, 72, 72, 0]
