# SPDX-License-Identifier: GPL-2.0-or-later
"""The known finding of the ledger."""

from vfuzz.sanitizer.registry import Known

KNOWN = (
    Known("old", "C3@ledger_read:edge", "docs/findings/F01.md", "F01: a read of 255 touches 256"),
)
