# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of docs/virtio-net-rx.md agree with the target."""

from __future__ import annotations

from tests.documents import Document

DOCUMENT = Document("virtio-net-rx")


def test_checks():
    DOCUMENT.checks_agree("S", 48)
    assert f"{len(DOCUMENT.target.checks)} of the catalogue's 48" in DOCUMENT.text


def test_quirks():
    DOCUMENT.quirks_agree(r"[A-HR]\d\d", r"linux-[\d.]+\d")
