# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of the ledger."""

from vfuzz.sanitizer.registry import Check

CHECKS = (
    Check("C1", "bad-put", "Only a reference that is held is put.", "the ledger's rules"),
    Check("C2", "reference-leak", "At the shutdown every reference is put.", "the ledger's rules"),
    Check("C3", "out-of-bounds-read", "A read ends inside the object.", "the ledger's rules"),
)
