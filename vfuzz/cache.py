# SPDX-License-Identifier: GPL-2.0-or-later
"""Where vfuzz keeps what is costly to make again: kernels, variants of targets that count."""

from __future__ import annotations

import os
from pathlib import Path

from vfuzz.errors import Error

__all__ = ["cache_dir"]


def cache_dir(part: str) -> Path:
    """The folder of a part of the cache, absolute; it need not be there yet.

    It is `vfuzz/PART` in $VFUZZ_CACHE, else in $XDG_CACHE_HOME, else in ~/.cache. Raises Error for
    a user without a home.
    """
    base = Path(os.environ.get("VFUZZ_CACHE") or _standard())
    try:
        base = base.expanduser()
    except RuntimeError:
        raise Error("this user has no home directory: set VFUZZ_CACHE to a folder") from None
    return Path(os.path.abspath(base)) / "vfuzz" / part


def _standard() -> str:
    """What the XDG specification says; it wants relative paths ignored."""
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return xdg if os.path.isabs(xdg) else "~/.cache"
