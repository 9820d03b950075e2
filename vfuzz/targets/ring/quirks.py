# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs that the ring can have: the planted one."""

from vfuzz.sanitizer.registry import Quirk

QUIRKS = (
    Quirk("CANARY", "canary", "planted: a ring whose head has wrapped takes one byte too many",
          "none", "", ("ring-1",), ("R2",), "planted", canary=True),
)
