# SPDX-License-Identifier: GPL-2.0-or-later
"""Records on disk."""

from __future__ import annotations

import pytest

from vfuzz.engine.records import CampaignFile, Finding, WorkerSpec, dump, load
from vfuzz.errors import Error

CAMPAIGN = CampaignFile(
    vfuzz="1", target="t", quirks=("Q01",), eras=("old",), seed=3, created="2026-01-01", runs=2
)


def test_records_go_round(tmp_path):
    path = tmp_path / "campaign.json"
    path.write_bytes(dump(CAMPAIGN))
    assert load(path, CampaignFile) == CAMPAIGN
    assert path.read_text().startswith('{\n  "format": 1,\n')
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable CampaignFile record"),
        (b"[]", "not a readable CampaignFile record"),
        (b'{"format": 1, "target": 5}', "not a readable CampaignFile record: .*target"),
        (b'{"format": 2}', "format 2 is newer than this vfuzz understands"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    path = tmp_path / "campaign.json"
    path.write_bytes(content)
    with pytest.raises(Error, match=message) as caught:
        load(path, CampaignFile)
    assert str(path) in str(caught.value)


def test_unknown_fields_of_a_later_minor_version_are_ignored(tmp_path):
    path = tmp_path / "campaign.json"
    path.write_bytes(dump(CAMPAIGN).replace(b'"seed"', b'"later": 1,\n  "seed"'))
    assert load(path, CampaignFile) == CAMPAIGN


def test_a_spec_has_no_version_and_a_finding_has(tmp_path):
    path = tmp_path / "spec.json"
    path.write_bytes(dump(WorkerSpec(target="t", eras=(), quirks=(), scratch="s", arguments=())))
    assert load(path, WorkerSpec).target == "t"
    path.write_bytes(b'{"format": 9}')
    with pytest.raises(Error, match="newer"):
        load(path, Finding)
