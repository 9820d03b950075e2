# SPDX-License-Identifier: GPL-2.0-or-later
"""vfuzz: memory, accounting and protocol bugs in virtualization I/O code.

    import vfuzz

    t = vfuzz.target("virtio-net-rx")
    p = t.parse("boot(profile=hostile)\\nopen()\\npoll()\\n")
    r = t.execute(p, era="linux-6.1", trace=True)
    print(r.violation or "clean")

Importing vfuzz needs nothing compiled and nothing but the standard library: the build itself
imports the declarations of the targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "BlindRun",
    "Call",
    "Error",
    "Event",
    "NotBuilt",
    "Program",
    "Result",
    "Step",
    "Target",
    "UnknownName",
    "UsageError",
    "Violation",
    "__version__",
    "target",
    "targets",
]

_ERRORS = ("BlindRun", "Error", "NotBuilt", "UnknownName", "UsageError")

if TYPE_CHECKING:
    from vfuzz.api import Call, Event, Program, Result, Step, Target, Violation, target, targets
    from vfuzz.errors import BlindRun, Error, NotBuilt, UnknownName, UsageError


def __getattr__(name: str) -> object:
    # Loaded on first use: code generation imports this package before anything is built.
    if name in __all__:
        import importlib

        if name == "targets":  # the package of that name can be called
            return importlib.import_module("vfuzz.targets")
        home = importlib.import_module("vfuzz.errors" if name in _ERRORS else "vfuzz.api")
        return getattr(home, name)
    raise AttributeError(f"module 'vfuzz' has no attribute {name!r}")
