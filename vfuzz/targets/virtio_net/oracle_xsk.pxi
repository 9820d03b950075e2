# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge of AF_XDP: chunks, packets that a socket gets, what zero copy owes the stack.

It knows which queues have a socket, what its chunks are and what the device wrote to them.
"""

cdef struct JudgedXsk:          # of the packet that is being received
    uint64_t tx_drops           # frames that transmission had dropped before it
    int tx_free                 # descriptors in the fullest send queue then

cdef JudgedXsk Q


cdef uint64_t xsk_tx_drops() noexcept nogil:
    cdef int i
    cdef uint64_t n = 0
    for i in range(vi.max_queue_pairs):
        n += vi_sq[i].stats.xdp_tx_drops
    return n


cdef void judge_xsk_begin(ReceiveQueue* rq) noexcept nogil:
    """A used chunk was taken from the ring."""
    cdef int i
    J.zero_copy = True
    J.longest = xsk_frame_size(&Z_pools[rq.index]) + vi.hdr_len
    Q.tx_drops = xsk_tx_drops()
    Q.tx_free = VQ_MAX
    for i in range(vi.max_queue_pairs):
        Q.tx_free = min(Q.tx_free, vi_sq[i].vq.num_free)


cdef void judge_xsk_end(ReceiveQueue* rq, uint64_t drops) noexcept nogil:
    """S43: what the program sends goes out, where there is a place for it."""
    if unlikely(E.runs and A.prog and E.act == XDP_TX and drops == 0 and Q.tx_free > 0
                and W.faults_fired == 0 and not M.exhausted and D.slots == 0
                and xsk_tx_drops() != Q.tx_drops):
        violation(CHECK_S43, b"judge_xsk_end:tx", b"rq", rq.index,
                  b"a packet that the program sends is dropped, though %lld descriptors are free",
                  Q.tx_free, 0, 0)


cdef void judge_xsk_over() noexcept nogil:
    J.zero_copy = False
    J.longest = 0xFFFFFFFF


cdef void judge_xsk_posted(int id, const XdpBuff* x, uint32_t front) noexcept nogil:
    """S40: what is taken for the packet, from `front` bytes before its start on, was posted."""
    cdef const Buf* b = &M_bufs[xsk_chunk(id).buf]
    if unlikely(offset_of(x.data_end - front) > b.p_end):
        violation(CHECK_S40, b"judge_xsk_posted:end", b"chunk", id,
                  b"a packet is said to end at %lld, the chunk was posted up to %lld",
                  offset_of(x.data_end - front), b.p_end, 0)


cdef void judge_xsk_desc(int id, const XdpBuff* x) noexcept nogil:
    """A packet goes to a socket. S36: the bytes that the program left."""
    cdef int n = pieces_add(0, x.data, <uint32_t>(x.data_end - x.data), b"judge_xsk_desc:pieces")
    judge_xdp_bytes(n, 0, b"chunk", id, b"judge_xsk_desc:bytes")
    xsk_chunk(id).digest = xsk_digest(x.data, <uint32_t>(x.data_end - x.data))


cdef uint64_t xsk_digest(uint64_t addr, uint32_t size) noexcept nogil:
    """One number for where these bytes came from."""
    return pieces_digest(pieces_add(0, addr, size, b"xsk_digest:pieces"))


cdef void judge_xsk_taken(int id) noexcept nogil:
    """The user reads a packet. S40: in its chunk; S36: as it was given to the socket."""
    cdef const Chunk* c = xsk_chunk(id)
    cdef const Buf* b = &M_bufs[c.buf]
    if unlikely(frame_of(c.data) != b.frame or offset_of(c.data) < b.a_start
                or offset_of(c.data) + c.len > b.a_end):
        violation(CHECK_S40, b"judge_xsk_taken:chunk", b"chunk", id,
                  b"a descriptor of %lld bytes at %lld, its chunk ends at %lld", c.len,
                  offset_of(c.data), b.a_end)
    if unlikely(xsk_digest(c.data, c.len) != c.digest):
        violation(CHECK_S36, b"judge_xsk_taken:bytes", b"chunk", id,
                  b"the packet in chunk %lld changed while it was the user's", id, 0, 0)


cdef void judge_xsk_unbound(int q) noexcept nogil:
    """The socket's memory is about to be the user's alone. S40: no chunk is the driver's,
    and the device reaches none."""
    cdef int i
    cdef const XskPool* p = &Z_pools[q]
    for i in range(p.n):
        if unlikely(p.chunk[i].place == CHUNK_DRIVER):
            violation(CHECK_S40, b"judge_xsk_unbound:queue_gone" if q >= vi.curr_queue_pairs
                      else b"judge_xsk_unbound:kept", b"chunk", xsk_id(q, i),
                      b"the socket of queue %lld is closed, and its chunk %lld is still the "
                      b"driver's", q, i, 0)
    if unlikely(p.dma_map != 0 and q >= vi.curr_queue_pairs):
        violation(CHECK_S40, b"judge_xsk_unbound:queue_gone", b"virtqueue", q,
                  b"the socket of queue %lld is closed, and its memory is still mapped", q, 0, 0)


cdef void judge_xsk_metadata(int s) noexcept nogil:
    """S31: the header of a packet that met no program is not forgotten with its chunk."""
    cdef const Origin* o = &J_origins[J_consumed[0]]
    cdef bint partial
    if not o.first or o.written < vi.hdr_len:
        return
    partial = o.hdr[0] & HDR_F_NEEDS_CSUM and K_skbs[s].ip_summed != CHECKSUM_PARTIAL
    if unlikely(partial or (vi.rxhash and vi.has_rss_hash_report
                            and K_skbs[s].hash != hdr_u32(o.hdr, 12))):
        violation(CHECK_S31, b"judge_xsk_metadata:partial" if partial
                  else b"judge_xsk_metadata:hash", b"skb", s,
                  b"flags %lld, GSO type %lld and hash %lld of the header are lost", o.hdr[0],
                  o.hdr[1], hdr_u32(o.hdr, 12) if vi.has_rss_hash_report else 0)
