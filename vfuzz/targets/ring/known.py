# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings that stand in an era as it is: none. Entries are vfuzz.sanitizer.registry.Known."""

KNOWN = ()
