# SPDX-License-Identifier: GPL-2.0-or-later
"""A ledger of eight references: the smallest thing that honours the contract of a target.

`_core` is Python, so a test can read it whole. It has two eras, one known finding, and quirks that
violate, crash or hang.
"""

NAME = "tests.fakes.ledger"
SUMMARY = "a ledger of eight references, in plain Python, for tests"
ERAS = ("old", "new")
