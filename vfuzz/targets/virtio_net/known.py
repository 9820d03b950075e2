# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings that stand in an era as upstream is: reported when met, counted, never a failed run."""

from vfuzz.sanitizer.registry import Known

_OLD, _NEW, _POOL = "linux-6.1", "linux-6.12", "linux-7.2"


def _in(eras: tuple[str, ...], signature: str, page: str, summary: str) -> tuple[Known, ...]:
    return tuple(Known(era, signature, f"docs/findings/{page}.md", summary) for era in eras)


def _both(signature: str, page: str, summary: str) -> tuple[Known, ...]:
    return _in((_OLD, _NEW), signature, page, summary)


def _all(signature: str, page: str, summary: str) -> tuple[Known, ...]:
    return _in((_OLD, _NEW, _POOL), signature, page, summary)


KNOWN: tuple[Known, ...] = (
    *_both("S6@virtnet_rq_alloc:long", "virtio-net-clamp-bounds",
           "a small ring's buffers are longer than the page that they are cut from"),
    *_all("S39@judge_room:resized", "virtio-net-resize-room",
           "a ring that was made smaller has no room for the longest packet, even when it is full"),
    Known(_POOL, "S39@judge_room:mergeable", "docs/findings/virtio-net-pool-room.md",
          "a pool's buffers end with their page: a ring below 17 has no room for 64 KiB"),
    *_all("S13@page_to_skb:big_frag", "virtio-net-R01",
           "R01: big mode writes an 18th fragment for packets beyond 69,600 bytes"),
    *_all("S34@packet_end:consumed", "virtio-net-R04",
           "R04: num_buffers 0 makes one packet of everything in the ring"),
    *_in((_NEW, _POOL), "S27@virtnet_rq_unmap:sync_length", "virtio-net-R05",
         "R05: a mapped buffer is synced by a used length that nobody checked yet"),
    *_all("S45@stall_check:packed", "virtio-net-R07",
           "R07: a packed ring's failed mapping is -EIO, after which nothing refills"),
    *_all("S1@remove_vq_common:rq", "virtio-net-R11",
           "R11: after a failed resume, remove walks the freed queue array"),
    *_all("S1@virtnet_close:rq", "virtio-net-R11",
           "R11: after a failed resume, close walks the freed queue array"),
    *_all("S1@op_stats:rq", "virtio-net-R11",
           "R11: after a failed resume, reading statistics walks the freed queue array"),
    *_all("S1@virtnet_xdp_set:rq", "virtio-net-R11",
           "R11: after a failed resume, detaching a program looks into the freed queue array"),
    *_all("S1@xdp_xmit:rq", "virtio-net-R11",
           "R11: after a failed resume, frames of another device look into the freed queue array"),
    *_all("S14@xdp_xmit:sq", "virtio-net-xdp-sq-index",
           "more queue pairs than CPUs: XDP sends on a queue behind the last one"),
    *_both("S46@disable_queue_pair:napi_disable", "virtio-net-R11",
           "R11: after a resume that failed in open, close disables NAPI that is off"),
    *_both("S46@cancel_refill:blocked", "virtio-net-open-unwind-deadlock",
           "a failing open cancels a refill work that waits for NAPI which open never enabled"),
    *_both("S46@refill_work:after_resize", "virtio-net-resize-down",
           "a ring resize while down schedules refill work on disabled NAPI"),
    *_both("S1@remove_vq_common:after_resize", "virtio-net-resize-down",
           "a ring resize while down leaves refill work behind that outlives the queues"),
    *_all("S30@judge_metadata:ufo_segs", "virtio-net-ufo-segs",
           "UFO has no floor under gso_size: size 1 makes more segments than 16 bits count"),
    *_all("S43@op_stats:after_resume", "virtio-net-stats-resume",
           "queue statistics start again at zero after suspend and resume"),
    Known(_NEW, "S24@remove_vq_common:maps", "docs/findings/virtio-net-premapped-leak.md",
          "the last premapped chunk stays mapped if the last refill failed"),
    Known(_NEW, "S2@target_shutdown:no_device", "docs/findings/virtio-net-probe-leak.md",
          "a probe that fails forgets the RSS header"),
    Known(_OLD, "S47@dev_fetch_packed:half_list", "docs/findings/virtio-net-packed-unpublish.md",
          "a failed packed add leaves descriptors behind that look available"),
    *_all("S11@receive_small_xdp:put", "virtio-net-xdp-small-frame",
           "small mode tells XDP of a frame that ends behind its buffer: a grown packet panics"),
    *_all("S15@judge_frame_shared:small", "virtio-net-xdp-small-frame",
           "small mode tells XDP of a frame that ends behind its buffer: an skb writes there"),
    *_all("S17@judge_delivered:small_copy", "virtio-net-R06",
           "R06: a small packet that was copied for its headroom keeps a page and counts a buffer"),
    *_all("S37@judge_unseen:big", "virtio-net-xdp-big",
           "big mode accepts a program and never runs it"),
    *_all("S37@judge_unseen:after_resume", "virtio-net-R12",
           "R12: after suspend and resume the attached program is gone"),
    *_all("S43@packet_end_xdp:size", "virtio-net-xdp-mtu",
           "the MTU limit of XDP forgets headers: full-sized packets are dropped"),
    *_all("S43@judge_queues:no_mq", "virtio-net-xdp-rss-queues",
           "with RSS but not MQ, attaching changes the number of queues that the stack knows only"),
    Known(_OLD, "S45@poll_cleantx:loop", "docs/findings/virtio-net-broken-cleantx.md",
          "a poll looks for ever for what was sent in a ring that is broken"),
    Known(_OLD, "S43@packet_end_xdp:copy_lost", "docs/findings/virtio-net-R02.md",
          "R02: without memory for an skb a linearised packet leaks and is not counted"),
    Known(_OLD, "S31@judge_xdp_skb:partial", "docs/findings/virtio-net-R13.md",
          "R13: a program gets packets with partial checksums, which pass as whole ones"),
    Known(_OLD, "S31@judge_frame_made:partial", "docs/findings/virtio-net-R13.md",
          "R13: a program gets packets with partial checksums, and sends them as whole ones"),
    Known(_OLD, "S31@judge_xdp_skb:valid", "docs/findings/virtio-net-R13.md",
          "R13: what the device validated is forgotten where a program ran"),
    *_in((_NEW, _POOL), "S31@judge_inet:verified_changed", "virtio-net-xdp-verified",
          "a packet that the device validated passes as valid although the program changed it"),
    *_in((_NEW, _POOL), "S31@judge_inet:verified_moved", "virtio-net-xdp-verified",
          "a packet passes as valid although the program took off what the device had validated"),
    Known(_OLD, "S16@judge_xdp_begin:bounds", "docs/findings/virtio-net-A09-in-6.1.md",
          "A09 stands in 6.1: a buffer with headroom gets the hole, and is longer than its frame"),
    Known(_OLD, "S17@judge_delivered:headroom", "docs/findings/virtio-net-xdp-truesize.md",
          "buffers with headroom count without it"),
    Known(_OLD, "S28@judge_metadata:csum_start_min", "docs/findings/virtio-net-A22-in-6.1.md",
          "A22 stands in 6.1: a checksum may start inside the network header"),
)
