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
    *_known(_NEW, "V28@iotlb_translate:identity", "vdpa-passthrough",
            "a simulated device that was reset reaches physical memory by its address"),
    *_known(_NEW, "V30@putu16_iotlb:read_only", "vdpa-used-index-permission",
            "the used index is written through a mapping that is for reading"),
    *_known(_NEW, "V30@putu16_iotlb:write_only", "vdpa-used-index-permission",
            "the used index is not written through a mapping that is for writing"),
    *_known(_ALL, "V31@judge_walk:empty_table", "vdpa-indirect-empty",
            "a descriptor is read of an indirect table that has none"),
    *_known(_ALL, "V31@judge_chain:next0", "vdpa-indirect-next0",
            "a chain that goes on at descriptor 0 behind an indirect table ends there"),
    *_known(_ALL, "V32@__vringh_iov:indirect_cycle", "vdpa-indirect-cycle",
            "a chain of indirect tables that leads back to itself is followed until memory ends"),
    *_known(_ALL, "V32@vdpasim_net_work:run", "vdpa-available-jump",
            "an available index ahead by more than the ring makes one run of work that long"),
    *_known(_ALL, "V32@vdpasim_handle_cvq:run", "vdpa-available-jump",
            "an available index ahead by more than the ring makes one run of work that long"),
    *_known(_ALL, "V34@judge_run:command", "vdpa-cvq-head-lost",
            "a command that is too short is never answered"),
    *_known(_ALL, "V34@judge_run:push", "vdpa-rx-push",
            "a packet that cannot be written loses its chain and the one it was for"),
    *_known(_PLAIN, "V37@vdpasim_net_work:pull", "vdpa-tx-pull-negative",
            "the errno of reading a packet is taken for its length"),
    *_known(_ALL, "V37@vdpasim_handle_cvq:ack", "vdpa-cvq-used-length",
            "the errno of writing an answer becomes its used length"),
    *_known(_ALL, "V38@judge_run:suspended", "vdpa-suspend-bypass",
            "a suspended device works again when its status is written once more"),
    *_known(_ALL, "V39@judge_command:stale_ack", "vdpa-cvq-stale-ack",
            "an unknown command is answered with the status of the one before"),
    *_known(_ALL, "V40@judge_command:torn", "vdpa-cvq-torn-mac",
            "a command with half an address leaves half of it in the configuration"),
    *_known(_ALL, "V41@judge_filter:prefix", "vdpa-mac-prefix",
            "addresses are compared up to their first byte of 0"),
    *_known(_ALL, "V43@judge_run:no_size", "vdpa-ring-no-size",
            "a queue without a size can be enabled, and is used at address 0"),
    *_known(_ALL, "V49@phys_access:unpinned", "vdpa-unpin-first",
            "in a batch the device still reaches pages that are unpinned"),
    *_known(_ALL, "V16@phys_access:freed", "vdpa-unpin-first",
            "in a batch the device still reaches pages that are freed"),
)
