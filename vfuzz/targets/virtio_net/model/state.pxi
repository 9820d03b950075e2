# SPDX-License-Identifier: GPL-2.0-or-later
"""State of the driver: struct virtnet_info and struct receive_queue, their constants, contexts."""

cdef enum:
    QUEUES_MAX = 3
    ETH_HLEN = 14
    VLAN_HLEN = 4
    ETH_DATA_LEN = 1500
    GOOD_PACKET_LEN = 1518      # ETH_HLEN + VLAN_HLEN + ETH_DATA_LEN
    GOOD_COPY_LEN = 128
    VIRTNET_RX_PAD = 64         # NET_IP_ALIGN (0 on x86) + NET_SKB_PAD
    PADDED_HDR_LEN = 32         # sizeof(struct padded_vnet_hdr), both eras
    VNET_HDR_LEN = 10           # sizeof(struct virtio_net_hdr)
    VNET_HDR_MRG_LEN = 12
    VNET_HDR_HASH_LEN = 20
    IP_MAX_MTU = 65535
    MIN_MTU = 68
    MAX_MTU = 65535
    NAPI_WEIGHT = 64
    RSS_MAX_KEY_SIZE = 40       # VIRTIO_NET_RSS_MAX_KEY_SIZE
    NETDEV_RSS_KEY_LEN = 256
    DMA_RECORD_SIZE = 16        # sizeof(struct virtnet_rq_dma)
    CTX_HEADER_SHIFT = 22       # MRG_CTX_HEADER_SHIFT

    BY_ITSELF = 0               # who scheduled the refill work
    BY_OPEN = 1
    BY_POLL = 2
    BY_RESIZE = 3
    BY_QUEUES = 4

    RXQ_UNUSED = 0              # xdp_rxq_info registration state
    RXQ_REGISTERED = 1
    RXQ_UNREGISTERED = 2

cdef extern from *:
    """
    #define TOKEN_PAGE ((uint64_t)1 << 62)   /* tags a token that is a struct page */
    """
    uint64_t TOKEN_PAGE

cdef struct DmaRecord:          # struct virtnet_rq_dma, at the start of a premapped chunk
    uint64_t addr
    int32_t ref
    uint32_t len
    bint need_sync

cdef struct XdpStats:
    uint64_t packets            # runs of the program
    uint64_t tx
    uint64_t redirects
    uint64_t drops

cdef struct RqStats:
    uint64_t packets
    uint64_t bytes
    uint64_t drops
    uint64_t kicks

cdef struct ReceiveQueue:
    int index
    Napi napi
    RqStats stats
    int32_t pages               # private page list of big mode, 0 empty
    uint64_t mrg_avg_pkt_len    # EWMA, weight 1/64
    PageFrag alloc_frag
    uint32_t min_buf_len
    int xdp_rxq                 # RXQ_*
    int xdp_prog                # XDP_PROG_*
    bint ran                    # it ran on the packet that is being received
    uint8_t flags               # of that packet's header, saved (XDP_CSUM)
    uint16_t csum_start
    uint16_t csum_offset
    bint do_dma                 # premapped
    int32_t last_dma            # chunk whose DMA record still has the allocator's reference
    int xsk_pool                # socket's number + 1, 0: none
    uint64_t xsk_buffs          # array for as many buffers as the ring had
    uint64_t xsk_hdr_dma        # xsk_hdr_dma_addr, of the send queue of the same number
    int xsk_rxq                 # RXQ_*
    int page_pool               # its pool, 0 none (7.2)
    bint use_pool_dma           # use_page_pool_dma: which maps for it
    int mem_pool                # memory model of its rx info: a pool, 0 shared pages

cdef struct VirtnetInfo:
    bint probed
    bint registered
    bint running                # netif_running()
    bint present                # not frozen
    bint up                     # IFF_UP
    int max_queue_pairs
    int curr_queue_pairs
    bint big_packets
    int big_packets_num_skbfrags
    bint mergeable_rx_bufs
    bint has_rss
    bint has_rss_hash_report
    bint rxhash                 # NETIF_F_RXHASH
    bint has_cvq
    bint fraglist               # NETIF_F_FRAGLIST
    bint rxcsum                 # NETIF_F_RXCSUM
    bint xdp_csum               # partial checksums under XDP: model/csum.pxi
    uint32_t hdr_len
    uint32_t max_mtu
    uint32_t ring_num
    uint64_t rq_mem             # the queue array: a kmalloc object
    uint64_t sq_mem
    uint64_t ctrl_mem
    uint64_t rss_key_mem
    uint64_t rss_table_mem
    bint refill_enabled
    DelayedWork refill
    int refill_by               # BY_*: who scheduled it first
    int refill_blocked          # queue + 1 at which the work waits for a disabled NAPI, else 0
    bint netdev_lock_by_work    # the waiting work holds the netdev lock (E07)
    uint64_t rx_length_errors
    uint64_t rx_frame_errors
    uint64_t base_packets       # last totals that the user read
    bint resumed                # the queues are new since then
    uint32_t mtu                # dev->mtu
    uint32_t guest_offloads     # those of the features that can be switched off
    bint xdp_enabled
    int xdp_queue_pairs         # send queues that are XDP's own
    int real_num_rx_queues      # as the stack has it
    bint xdp_ever               # there may be frames in send queues
    int user_prog               # what the network core knows to be attached
    uint32_t xdp_xmit           # XDP_XMIT_*: what the running poll has to finish
    XdpStats xdp_stats          # all queues

cdef VirtnetInfo vi
cdef ReceiveQueue vi_rq[QUEUES_MAX]
cdef DmaRecord vi_dma[FRAMES_MAX]


cdef inline bint feature(uint32_t bit) noexcept nogil:
    """Is a feature of the boot option `features` negotiated?"""
    return (P.boot[BOOT_FEATURES] & bit) != 0


cdef inline bint era_6_12() noexcept nogil:
    return W.era >= ERA_LINUX_6_12


cdef inline bint era_7_2() noexcept nogil:
    return W.era >= ERA_LINUX_7_2


cdef inline uint32_t virtnet_get_headroom() noexcept nogil:
    """virtnet_get_headroom(): of the buffers that are posted from now on."""
    return XDP_PACKET_HEADROOM if vi.xdp_enabled else 0


# ---- hooks of sim/virtqueue.pxi ----

cdef inline bint era_unpublish() noexcept nogil:
    return era_6_12()


cdef inline bint quirk_packed_wrap() noexcept nogil:
    return quirk(QUIRK_E21)


cdef inline bint quirk_event_idx() noexcept nogil:
    return quirk(QUIRK_E20)


cdef inline int split_map_errno() noexcept nogil:
    # f7728002c1c7: a failed mapping used to come back as -EIO
    return -EIO if quirk(QUIRK_C06) else -ENOMEM


cdef inline void rq_check(site_t site) noexcept nogil:
    """The queue array is about to be used: it must be alive (S1)."""
    check_live(frame_of(vi.rq_mem), site)


# ---- context words of mergeable buffers ----

cdef inline uint64_t mergeable_len_to_ctx(uint32_t truesize, uint32_t headroom) noexcept nogil:
    return (<uint64_t>headroom << CTX_HEADER_SHIFT) | truesize


cdef inline uint32_t mergeable_ctx_to_headroom(uint64_t ctx) noexcept nogil:
    return <uint32_t>(ctx >> CTX_HEADER_SHIFT)


cdef inline uint32_t mergeable_ctx_to_truesize(uint64_t ctx) noexcept nogil:
    return <uint32_t>(ctx & ((1 << CTX_HEADER_SHIFT) - 1))


# ---- tokens ----

cdef inline uint64_t token_page(int page) noexcept nogil:
    """Token of big mode: the struct page of the first page."""
    return TOKEN_PAGE | <uint64_t>page


cdef inline int page_of_token(uint64_t token, site_t site) noexcept nogil:
    """The token as a struct page (S23: it must have been stored as one)."""
    if unlikely(not (token & TOKEN_PAGE)):
        violation(CHECK_S23, site, b"token", 0, b"buffer address used as a struct page", 0, 0, 0)
    return <int><uint32_t>token


cdef inline uint64_t addr_of_token(uint64_t token, site_t site) noexcept nogil:
    """The token as an address (S23: it must have been stored as one)."""
    if unlikely((token & TOKEN_PAGE) != 0):
        violation(CHECK_S23, site, b"token", <int64_t><uint32_t>token,
                  b"struct page of frame %lld used as a buffer address",
                  <int64_t><uint32_t>token, 0, 0)
    return token


# ---- EWMA of packet lengths: DECLARE_EWMA(pkt_len, 0, 64) ----

cdef inline void ewma_pkt_len_add(ReceiveQueue* rq, uint32_t value) noexcept nogil:
    if rq.mrg_avg_pkt_len:
        rq.mrg_avg_pkt_len = ((rq.mrg_avg_pkt_len << 6) - rq.mrg_avg_pkt_len + value) >> 6
    else:
        rq.mrg_avg_pkt_len = value
