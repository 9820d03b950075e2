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
    *_known(_ALL, "V6@judge_space:va_wiped", "vdpa-va-wipe",
            "an UPDATE of address 0 that fails in VA mode removes every mapping"),
    *_known(_ALL, "V29@judge_va_runs:gap", "vdpa-va-gap",
            "VA mode maps the file behind an unmapped address"),
    *_known(_ALL, "V18@judge_vduse_close_node:mappings", "vduse-maps-after-close",
            "a VDUSE device keeps mappings and files of the process that closed the node"),
    *_known(_7_0, "V50@vduse_dev_msg_sync:list", "vduse-read-race",
            "a request that times out while it is copied to the daemon is unlinked twice"),
    *_known(_7_0, "V50@judge_vduse_read:order", "vduse-requeue-order",
            "a request whose copy fails is overtaken by later ones"),
    *_known(_7_0, "V16@vduse_dev_open:dev", "vduse-open-race",
            "a VDUSE device is destroyed between its look-up and its use"),
    *_known(_7_0, "V36@judge_bounce:leak", "vduse-bounce-uninit",
            "the daemon reads bytes of bounce pages that nobody wrote"),
    *_known(_7_0, "V4@judge_update:limit", "vdpa-iotlb-limit",
            "7.0 has no limit on the mappings of an address space"),
    *_known(_7_0, "V4@judge_update:device_limit", "vdpa-iotlb-limit",
            "7.0 has no limit on the mappings of a simulated device's table"),
)
