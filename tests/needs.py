# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests stand on. Where it is missing they fail and say so: a skipped test is one that nobody
reads."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest


def need(name: str) -> ModuleType:
    """The module `name`."""
    try:
        return import_module(name)
    except ImportError as error:
        mend = "./do build" if name.startswith("vfuzz.") else "./do test and ./do test-slow do that"
        pytest.fail(f"{error}. Build or install it first: {mend}", pytrace=False)
