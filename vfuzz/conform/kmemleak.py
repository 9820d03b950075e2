# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest lost: memory that its kernel allocated and nobody points at, as kmemleak finds it.

A kernel built with --kmemleak is asked when a part of the programs is done and nothing is open. It
knows what kmalloc(), vmalloc() and the caches of objects gave. Pages are none of that: who holds
those is for the observables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vfuzz.conform.kernel import Kernel

__all__ = ["PREFIX", "Leak", "can_scan", "of_age", "parse"]

#: How the signature of a divergence that is a leak begins.
PREFIX = "leak: "
#: Functions that allocate for whoever calls them, and what kmemleak does there: it is he who lost
#: it.
_ALLOCATES = re.compile(
    r"(?:_*(?:k[mvz]?[mvz]?alloc|kcalloc|kvcalloc|k?realloc|vmalloc|vzalloc|vcalloc"
    r"|kmem_cache_alloc|kmemdup|kstrn?dup|memdup|slab_|alloc_skb|alloc_percpu|pcpu_alloc|do_kmalloc"
    r"|kmemleak_)|(?:stack_trace_save|save_stack_trace|set_track|_*(?:alloc|link|create)_object))"
    r"\w*(?:\.\w+)*"
)
_HEAD = re.compile(r"unreferenced object .*\(size (\d+)\):")
_FRAME = re.compile(r"\s+(?:\[<.*?>\] )?([\w.]+)\+0x[0-9a-f]+/0x[0-9a-f]+")
_PAGE = 4096


@dataclass(frozen=True)
class Leak:
    """An object that nobody points at.

    size   in bytes
    trace  functions, the one that allocated it first; without those that allocate for others
    text   kmemleak's own words
    """

    size: int
    trace: tuple[str, ...]
    text: tuple[str, ...]

    @property
    def signature(self) -> str:
        """Who asked for it, and who called that: one cause has one signature."""
        return PREFIX + (" < ".join(self.trace[:2]) or f"{self.size} bytes, nobody knows whose")


def parse(text: str) -> list[Leak]:
    """What the file kmemleak says."""
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if _HEAD.match(line):
            blocks.append([])
        if blocks:
            blocks[-1].append(line)
    return [_leak(block) for block in blocks]


def _leak(lines: list[str]) -> Leak:
    head = _HEAD.match(lines[0])
    assert head is not None
    frames = [match[1] for match in map(_FRAME.match, lines) if match]
    own = next((i for i, name in enumerate(frames) if not _ALLOCATES.fullmatch(name)), len(frames))
    return Leak(int(head[1]), tuple(frames[own:]), tuple(lines))


def can_scan(kernel: Kernel) -> bool:
    """Was it built with kmemleak?"""
    return "kmemleak" in kernel.options


def of_age(kernel: Kernel) -> int | None:
    """Where in /dev/mem the kernel has the age below which kmemleak tells of nothing. None: it has
    no such file, so that has to be waited for."""
    if not kernel.has("read_mem"):
        return None
    start = kernel.address("__binary_start") & -_PAGE  # physical memory begins with the image
    return kernel.address("jiffies_min_age") - start
