# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings that stand in an era as upstream is: reported when met, counted, never a failed run."""

from vfuzz.sanitizer.registry import Known

_NEW = ("linux-6.12", "linux-7.0")
_ALL = ("linux-6.1", "linux-6.12", "linux-7.0")
_7_0 = ("linux-7.0",)
_6_1 = ("linux-6.1",)
_OLD = ("linux-6.1", "linux-6.12")
_PLAIN = ("linux-6.1", "linux-7.0")     # 6.12.117 took it from a later version


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
    *_known(_OLD, "V27@judge_set_group_asid:running", "vdpa-setgroup-driver-ok",
            "a group moves to another address space while the device runs"),
    *_known(_6_1, "V43@judge_vring_addr:running", "vdpa-vring-live",
            "the addresses of a running ring may change"),
    *_known(_6_1, "V43@judge_vring_base:running", "vdpa-vring-live",
            "the position of a running ring may change"),
    *_known(_6_1, "V38@judge_suspend:stopped", "vdpa-suspend-stopped",
            "a device that does not run is suspended"),
    *_known(_PLAIN, "V43@judge_vring_num:max", "vdpa-vringnum-over-max",
            "a ring may be larger than the device's maximum"),
    *_known(_7_0, "V25@vhost_vdpa_mmap:index", "vdpa-mmap-vq-index",
            "the offset of a doorbell mapping is used as queue index unchecked"),
    *_known(_PLAIN, "V45@irq_end:config", "vdpa-config-cb-race",
            "a config callback signals an eventfd that was dropped meanwhile"),
    *_known(_ALL, "V45@irq_end:vq", "vdpa-vq-cb-race",
            "a queue's callback signals an eventfd that was dropped meanwhile"),
    *_known(_7_0, "V45@judge_config_call:dropped", "vdpa-config-call-bad-fd",
            "a config eventfd is lost when the call fails that should replace it"),
    *_known(_OLD, "V45@irq_bypass_unregister_producer:not_registered",
            "vdpa-bypass-shared-eventfd",
            "two queues with one call eventfd corrupt the list of interrupt producers"),
    *_known(_ALL, "V6@judge_vring_fd:bypass", "vdpa-bypass-lost",
            "a queue loses its interrupt bypass to a call that fails"),
)
