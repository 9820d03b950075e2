# SPDX-License-Identifier: GPL-2.0-or-later
import re
from dataclasses import FrozenInstanceError

import pytest

from vfuzz.sanitizer.registry import Check, Known, Quirk, index_by_id, parse_signature

CHECK = {
    "id": "S7",
    "title": "out-of-bounds-read",
    "rule": "Read what was written.",
    "source": "virtio",
}
QUIRK = {
    "id": "A04",
    "name": "vnet-big-len-pad",
    "summary": "It pads.",
    "fix": "unverified",
    "cve": "",
    "eras": ("linux-6.1",),
    "checks": ("S7",),
    "verified": "",
}
KNOWN = {
    "era": "linux-6.1",
    "signature": "S7@f:first",
    "doc": "docs/findings/a.md",
    "summary": "It is.",
}


def test_records_are_frozen_and_equal_by_value():
    assert Check(**CHECK) == Check(**CHECK)
    assert Quirk(**QUIRK).canary is False
    with pytest.raises(FrozenInstanceError):
        Known(**KNOWN).era = "linux-6.12"


@pytest.mark.parametrize(
    ("kind", "fields", "change", "message"),
    [
        (Check, CHECK, {"id": "s7"}, "check id 's7' is not usable"),
        (Check, CHECK, {"id": "S 7"}, "check id 'S 7'"),
        (Check, CHECK, {"title": "Out of bounds"}, "check S7: title 'Out of bounds'"),
        (Check, CHECK, {"rule": " "}, "check S7: rule is empty"),
        (Check, CHECK, {"source": ""}, "check S7: source is empty"),
        (Quirk, QUIRK, {"id": ""}, "quirk id ''"),
        (Quirk, QUIRK, {"name": "Big_Len"}, "quirk A04: name 'Big_Len'"),
        (Quirk, QUIRK, {"fix": ""}, "quirk A04: fix is empty"),
        (Quirk, QUIRK, {"eras": "linux-6.1"}, "a tuple of one needs its comma"),
        (Quirk, QUIRK, {"eras": ()}, "could never be switched on"),
        (Quirk, QUIRK, {"eras": ("a", "a")}, "names something twice"),
        (Quirk, QUIRK, {"checks": ()}, "name the checks that should fire"),
        (Known, KNOWN, {"signature": "S7"}, "'S7' is not a signature"),
        (Known, KNOWN, {"era": ""}, "era is empty"),
        (Known, KNOWN, {"doc": "somewhere"}, "doc 'somewhere' is not a page"),
    ],
)
def test_a_wrong_record_is_refused_with_the_reason(kind, fields, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**{**fields, **change})


def test_signatures_split_at_the_check():
    assert parse_signature("S7@receive_mergeable:first") == ("S7", "receive_mergeable:first")


@pytest.mark.parametrize("text", ["", "S7", "@f", "S7@", "S7@a b", "s7@f"])
def test_what_is_not_a_signature_is_refused(text):
    with pytest.raises(ValueError, match="is not a signature"):
        parse_signature(text)


def test_index_by_id_maps_ids_and_names_of_quirks():
    quirks = [Quirk(**QUIRK), Quirk(**{**QUIRK, "id": "A05", "name": "other"})]
    assert index_by_id(quirks) == {"A04": 0, "vnet-big-len-pad": 0, "A05": 1, "other": 1}
    with pytest.raises(ValueError, match="quirk 'A04' is declared twice, at places 0 and 1"):
        index_by_id([quirks[0], quirks[0]])
