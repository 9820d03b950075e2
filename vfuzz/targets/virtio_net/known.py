# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings that stand in an era as upstream is: reported when met, counted, never a failed run."""

from vfuzz.sanitizer.registry import Known

_OLD, _NEW = "linux-6.1", "linux-6.12"


def _both(signature: str, page: str, summary: str) -> tuple[Known, Known]:
    return tuple(Known(era, signature, f"docs/findings/{page}.md", summary) for era in (_OLD, _NEW))


KNOWN: tuple[Known, ...] = (
    *_both("S6@virtnet_rq_alloc:long", "virtio-net-clamp-bounds",
           "a small ring's buffers are longer than the page that they are cut from"),
    *_both("S13@page_to_skb:big_frag", "virtio-net-R01",
           "R01: big mode writes an 18th fragment for packets beyond 69,600 bytes"),
    *_both("S34@packet_end:consumed", "virtio-net-R04",
           "R04: num_buffers 0 makes one packet of everything in the ring"),
    Known(_NEW, "S27@virtnet_rq_unmap:sync_length", "docs/findings/virtio-net-R05.md",
          "R05: a premapped buffer is synced by a used length that nobody checked yet"),
    *_both("S45@stall_check:packed", "virtio-net-R07",
           "R07: a packed ring's failed mapping is -EIO, after which nothing refills"),
    *_both("S1@remove_vq_common:rq", "virtio-net-R11",
           "R11: after a failed resume, remove walks the freed queue array"),
    *_both("S1@virtnet_close:rq", "virtio-net-R11",
           "R11: after a failed resume, close walks the freed queue array"),
    *_both("S1@op_stats:rq", "virtio-net-R11",
           "R11: after a failed resume, reading statistics walks the freed queue array"),
    *_both("S46@disable_queue_pair:napi_disable", "virtio-net-R11",
           "R11: after a resume that failed in open, close disables NAPI that is off"),
    *_both("S46@cancel_refill:blocked", "virtio-net-open-unwind-deadlock",
           "a failing open cancels a refill work that waits for NAPI which open never enabled"),
    *_both("S46@refill_work:after_resize", "virtio-net-resize-down",
           "a ring resize while down schedules refill work on disabled NAPI"),
    *_both("S1@remove_vq_common:after_resize", "virtio-net-resize-down",
           "a ring resize while down leaves refill work behind that outlives the queues"),
    *_both("S30@judge_metadata:ufo_segs", "virtio-net-ufo-segs",
           "UFO has no floor under gso_size: size 1 makes more segments than 16 bits count"),
    *_both("S43@op_stats:after_resume", "virtio-net-stats-resume",
           "queue statistics start again at zero after suspend and resume"),
    Known(_NEW, "S24@remove_vq_common:maps", "docs/findings/virtio-net-premapped-leak.md",
          "the last premapped chunk stays mapped if the last refill failed"),
    Known(_NEW, "S2@target_shutdown:no_device", "docs/findings/virtio-net-probe-leak.md",
          "a probe that fails forgets the RSS header"),
    Known(_OLD, "S47@dev_fetch_packed:half_list", "docs/findings/virtio-net-packed-unpublish.md",
          "a failed packed add leaves descriptors behind that look available"),
    Known(_OLD, "S28@judge_metadata:csum_start_min", "docs/findings/virtio-net-A22-in-6.1.md",
          "A22 stands in 6.1: a checksum may start inside the network header"),
)
