# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests stand on. Where it is missing they fail and say so: a skipped test is one that nobody
reads."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

import pytest

from vfuzz.conform.kernel import Kernel, installed


def need(name: str) -> ModuleType:
    """The module `name`."""
    try:
        return import_module(name)
    except ImportError as error:
        mend = "./do build" if name.startswith("vfuzz.") else "./do test and ./do test-slow do that"
        pytest.fail(f"{error}. Build or install it first: {mend}", pytrace=False)


def kernels(*eras: str) -> list[Kernel]:
    """Kernels to test with: those that VFUZZ_TEST_KERNELS names, with commas between them, or all
    that there are, with one of each era at least."""
    there = installed()
    if names := os.environ.get("VFUZZ_TEST_KERNELS", ""):
        found = [kernel for kernel in there if kernel.name in names.split(",")]
        missing = set(names.split(",")) - {kernel.name for kernel in found}
    else:
        series = {each.name: "linux-" + ".".join(each.version.split(".")[:2]) for each in there}
        found = [kernel for kernel in there if series[kernel.name] in eras]
        missing = set(eras) - {series[kernel.name] for kernel in found}
    if missing or not found:
        pytest.fail(f"no kernel {', '.join(sorted(missing))}: `vfuzz kernel build` makes it",
                    pytrace=False)  # fmt: skip
    return found
