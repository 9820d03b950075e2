# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings that stand in an era as upstream is: reported when met, counted, never a failed run."""

from vfuzz.sanitizer.registry import Known

_NEW = ("linux-6.12", "linux-7.0")
_ALL = ("linux-6.1", "linux-6.12", "linux-7.0")
_7_0 = ("linux-7.0",)


def _known(eras: tuple[str, ...], signature: str, page: str, summary: str) -> tuple[Known, ...]:
    return tuple(Known(era, signature, f"docs/findings/{page}.md", summary) for era in eras)


KNOWN: tuple[Known, ...] = (
    *_known(_ALL, "V10@judge_pins:runs", "vdpa-pin-leak-nchunks",
            "a failing UPDATE of several physical runs leaves pages of the last one pinned"),
    *_known(_ALL, "V22@judge_device:push_failed", "vdpa-setmap-error-dropped",
            "INVALIDATE and BATCH_END report success though set_map() failed"),
    *_known(_ALL, "V8@judge_invalidate:wrap", "vdpa-invalidate-wrap",
            "an INVALIDATE of no bytes removes the mapping around its address"),
    *_known(_NEW, "V6@judge_space:va_wiped", "vdpa-va-wipe",
            "an UPDATE of address 0 that fails in VA mode removes every mapping"),
    *_known(_NEW, "V29@judge_va_runs:gap", "vdpa-va-gap",
            "VA mode maps the file behind an unmapped address"),
    *_known(_7_0, "V4@judge_update:limit", "vdpa-iotlb-limit",
            "7.0 has no limit on the mappings of an address space"),
    *_known(_7_0, "V4@judge_update:device_limit", "vdpa-iotlb-limit",
            "7.0 has no limit on the mappings of a simulated device's table"),
)
