# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors that vfuzz raises on purpose, and the exit code of each.

A message says what was wrong, where, and what to do. The command line prints it without a
traceback and ends with `exit_code`; anything else that escapes is a bug in vfuzz and keeps its
traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "EXIT_CLEAN",
    "EXIT_FAILED",
    "EXIT_FINDINGS",
    "EXIT_INTERRUPTED",
    "EXIT_USAGE",
    "BlindRun",
    "Error",
    "NotBuilt",
    "UnknownName",
    "UsageError",
    "did_you_mean",
]

NAMES_MAX = 70  # that a message lists

EXIT_CLEAN = 0  # it ran and nothing was found
EXIT_FINDINGS = 1  # it ran and there are findings
EXIT_USAGE = 2  # what was asked for makes no sense
EXIT_FAILED = 3  # vfuzz itself, or the machine below it, failed
EXIT_INTERRUPTED = 130  # Ctrl-C: what shells make of SIGINT


class Error(Exception):
    """Base of every error that vfuzz raises on purpose."""

    exit_code = EXIT_FAILED


class UsageError(Error, ValueError):
    """What was asked for makes no sense: a wrong name, a wrong file, a contradiction."""

    exit_code = EXIT_USAGE


class UnknownName(UsageError):
    """No target, era, quirk or check has this name."""


class NotBuilt(Error, ImportError):
    """A compiled part is missing or cannot be loaded. The message says how to build it."""


class BlindRun(Error):
    """A campaign ran without seeing anything: no coverage, no features, or a dead mutator."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A sentence's tail that helps after an unknown name: the near misses, else all names."""
    names = list(names)
    by_lower = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(by_lower[match] for match in near)}?"
    if not names:
        return "there are none"
    if len(names) > NAMES_MAX:
        return f"there are {len(names)}, from {names[0]} to {names[-1]}"
    return f"there are: {', '.join(names)}"
