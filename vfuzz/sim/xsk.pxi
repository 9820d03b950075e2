# SPDX-License-Identifier: GPL-2.0-or-later
"""AF_XDP below a driver: sockets with memory of their own, its chunks and their rings.

Names are those of net/xdp and include/net/xdp_sock_drv.h. A socket is bound to one queue; its
memory (umem) is pages of the user in chunks of equal size, aligned. A chunk is in one place at a
time: with the user, in the fill ring, free, with the driver (posted or in its hands), or in the
receive ring. Who gives one back says so, and must have it (S40).

A chunk's id counts from 1 over all sockets; the id stands for its struct xdp_buff. Each chunk is a
buffer of sim/memory.pxi as well, and its frame's reference moves with it.

The including module defines:
    void judge_xsk_desc(int id, const XdpBuff* x)       a packet goes to the user
"""

cdef enum:
    XSK_POOLS_MAX = 4
    XSK_CHUNKS_MAX = 32
    XSK_FILL_MAX = 64           # entries of a fill ring
    XSK_FRAME_ALIGN = 128
    XSK_TAILROOM_MIN = 448      # what registration of a umem leaves behind headroom at least
    ETH_PAD_LEN = 26            # Ethernet header, two tags, frame check sequence

    CHUNK_USER = 0              # places of a chunk
    CHUNK_FILL = 1
    CHUNK_FREE = 2
    CHUNK_DRIVER = 3
    CHUNK_RX = 4

    DMA_BIDIRECTIONAL = 0
    ENOENT = 2
    ENOBUFS = 105

cdef extern from *:
    """
    #define TOKEN_XSK ((uint64_t)1 << 60)       /* tags a token that is a chunk's xdp_buff */
    """
    uint64_t TOKEN_XSK

cdef struct Chunk:
    uint8_t place               # CHUNK_*
    bint refused                # freed by xsk_rcv_zc() already: once more changes nothing
    int32_t buf
    uint64_t data               # where the packet is, in the receive ring
    uint32_t len
    uint64_t digest             # of its bytes

cdef struct XskPool:
    bint live                   # a socket is bound
    bint need_wakeup            # by a user who asks for it to be told when to wake the driver
    bint rx_wakeup              # the flag of the fill ring by which he is
    uint32_t chunk_size
    uint32_t headroom           # of the umem, in front of XDP_PACKET_HEADROOM
    int n                       # chunks
    int n_pages
    int32_t page[XSK_CHUNKS_MAX]
    uint64_t dma[XSK_CHUNKS_MAX]    # of each page
    uint64_t dma_map            # kmalloc objects of the mapping, 0: not mapped
    uint64_t dma_pages
    uint64_t pool_pages
    int n_free                  # free_list, the last one is taken first
    int32_t free[XSK_CHUNKS_MAX]
    int fill_head
    int n_fill
    int n_known                 # of those, what the kernel knows of
    int n_hidden                # entries that it took, and has not told the user
    int32_t fill[XSK_FILL_MAX]  # chunk numbers, -1: an address that is none
    int rx_num                  # entries of the receive ring
    int rx_head
    int n_rx                    # entries that the user sees
    int n_new                   # and those that wait for xsk_flush()
    int32_t rx[XSK_CHUNKS_MAX]
    int user_head
    int n_user                  # chunks that the user has, oldest first
    int32_t user[XSK_CHUNKS_MAX]
    Chunk chunk[XSK_CHUNKS_MAX]
    uint64_t n_dropped          # XDP_STATISTICS: packets longer than a chunk,
    uint64_t n_full             # that found no place in the receive ring,
    uint64_t n_empty            # looks at the fill ring that found nothing

cdef struct Xsk:
    bint ever                   # some socket was bound
    uint64_t hdr                # the driver's xsk_hdr, a static object
    PageFrag frag               # napi_alloc_cache.page, as far as copies of chunks go

cdef Xsk Z
cdef XskPool Z_pools[XSK_POOLS_MAX]
cdef int32_t Z_batch[XSK_CHUNKS_MAX]


cdef inline void xsk_reset() noexcept nogil:
    cdef int i
    if unlikely(Z.ever):
        for i in range(XSK_POOLS_MAX):
            Z_pools[i].live = False
    Z.ever = False
    Z.hdr = 0
    Z.frag.page = 0


# ---- chunks ------------------------------------------------------------------------------------

cdef inline int xsk_id(int pool, int chunk) noexcept nogil:
    return 1 + pool * XSK_CHUNKS_MAX + chunk


cdef inline XskPool* xsk_pool_of(int id) noexcept nogil:
    return &Z_pools[(id - 1) / XSK_CHUNKS_MAX]


cdef inline Chunk* xsk_chunk(int id) noexcept nogil:
    return &xsk_pool_of(id).chunk[(id - 1) % XSK_CHUNKS_MAX]


cdef inline uint64_t xsk_chunk_addr(int id) noexcept nogil:
    cdef const Buf* b = &M_bufs[xsk_chunk(id).buf]
    return addr_of(b.frame, b.a_start)


cdef inline uint64_t xsk_hard_start(int id) noexcept nogil:
    return xsk_chunk_addr(id) + xsk_pool_of(id).headroom


cdef inline uint32_t xsk_frame_room(const XskPool* p) noexcept nogil:
    """__xsk_pool_get_rx_frame_size()."""
    return p.chunk_size - p.headroom - XDP_PACKET_HEADROOM


cdef inline uint32_t xsk_frame_size(const XskPool* p) noexcept nogil:
    """xsk_pool_get_rx_frame_size(): of a socket that takes one buffer a packet."""
    return xsk_frame_room(p) & ~<uint32_t>(XSK_FRAME_ALIGN - 1)


cdef inline uint64_t xsk_buff_dma(int id) noexcept nogil:
    """xsk_buff_xdp_get_dma(): of the packet's start."""
    cdef const XskPool* p = xsk_pool_of(id)
    cdef uint32_t at = <uint32_t>((id - 1) % XSK_CHUNKS_MAX) * p.chunk_size
    return p.dma[at / PAGE_SIZE] + at % PAGE_SIZE + p.headroom + XDP_PACKET_HEADROOM


cdef void xsk_move(int id, int place, int source, int target, int state,
                   site_t site) noexcept nogil:
    """A chunk changes hands, and its page's reference with it."""
    cdef Chunk* c = xsk_chunk(id)
    c.place = <uint8_t>place
    move_ref(M_bufs[c.buf].frame, source, target, site)
    M_bufs[c.buf].state = <uint8_t>state
    ev(b"chunk", b"xsk", id, place, 0, site)


cdef void xsk_buff_free(int id, site_t site) noexcept nogil:
    """xsk_buff_free(): to the free list. S40: by who has it; only what a full socket freed already
    may be freed again, which xp_free() sees."""
    cdef XskPool* p = xsk_pool_of(id)
    cdef Chunk* c = xsk_chunk(id)
    if unlikely(c.place != CHUNK_DRIVER and not (c.place == CHUNK_FREE and c.refused)):
        violation(CHECK_S40, site, b"chunk", id,
                  b"chunk %lld is given back by the driver, which does not have it (it is in place "
                  b"%lld)", id, c.place, 0)
    if c.place == CHUNK_FREE:
        c.refused = False
        return
    xsk_move(id, CHUNK_FREE, H_DRV, H_KERNEL, B_XDP, site)
    p.free[p.n_free] = (id - 1) % XSK_CHUNKS_MAX
    p.n_free += 1


cdef int xsk_fill_take(XskPool* p) noexcept nogil:
    """The oldest entry of the fill ring: a chunk's number, -1 for an address that is none."""
    cdef int k = p.fill[p.fill_head]
    p.fill_head = (p.fill_head + 1) % XSK_FILL_MAX
    p.n_fill -= 1
    p.n_known -= 1
    p.n_hidden += 1
    return k


cdef int xp_alloc(XskPool* p) noexcept nogil:
    """xp_alloc(): a chunk's number, or -1; wrong addresses are passed over."""
    cdef int k
    if p.n_free:
        p.n_free -= 1
        return p.free[p.n_free]
    while True:
        step(b"xp_alloc:fill")
        if p.n_known == 0:
            # xskq_cons_get_entries()
            p.n_hidden = 0
            p.n_known = p.n_fill
            if p.n_fill == 0:
                p.n_empty += 1
                return -1
        k = xsk_fill_take(p)
        if k >= 0:
            return k


cdef int xsk_buff_alloc_batch(int pool, int max_, int32_t* ids, site_t site) noexcept nogil:
    """xp_alloc_batch(): up to max_ chunks for the driver; their number. Where mappings bounce one
    by one, else the free ones and then one look at the fill ring, wrong addresses and all."""
    cdef XskPool* p = &Z_pools[pool]
    cdef int i, k, most, reused, n = 0
    cdef bint spare = p.n_free > 0
    if D.swiotlb:
        while n < max_ and n < XSK_CHUNKS_MAX:
            k = xp_alloc(p)
            if k < 0:
                break
            ids[n] = xsk_id(pool, k)
            n += 1
    else:
        while n < max_ and p.n_free:
            p.n_free -= 1
            ids[n] = xsk_id(pool, p.free[p.n_free])
            n += 1
        reused = n
        most = min(max_ - n, p.n)
        if p.n_known < most:
            p.n_known = p.n_fill
        for i in range(min(most, p.n_known)):
            k = xsk_fill_take(p)
            if k >= 0:
                ids[n] = xsk_id(pool, k)
                n += 1
        if n == reused and not (spare and n == max_):
            # also where nothing was asked for, and where all addresses were wrong
            p.n_empty += 1
    for i in range(n):
        step(b"xsk_buff_alloc_batch:take")
        xsk_chunk(ids[i]).refused = False
        xsk_move(ids[i], CHUNK_DRIVER, H_KERNEL, H_DRV, B_DRV, site)
    return n


cdef void xsk_buff_set_size(int id, uint32_t size, XdpBuff* x) noexcept nogil:
    """The chunk as an xdp_buff of `size` bytes."""
    cdef const XskPool* p = xsk_pool_of(id)
    xdp_prepare_buff(x, xsk_hard_start(id), XDP_PACKET_HEADROOM, size, p.chunk_size - p.headroom)
    x.zc = id


cdef void xsk_buff_dma_sync_for_cpu(int id, site_t site) noexcept nogil:
    """The packet's part of the chunk, not what lies in front of it."""
    cdef const XskPool* p = xsk_pool_of(id)
    cdef uint64_t dma = xsk_buff_dma(id)
    cdef uint32_t offset = <uint32_t>(dma & ((1 << IOVA_SHIFT) - 1))
    if D.swiotlb:
        dma_sync_for_cpu(dma - offset, offset, xsk_frame_room(p), xsk_frame_room(p),
                         DMA_BIDIRECTIONAL, site, site)


# ---- memory ------------------------------------------------------------------------------------

cdef void xsk_umem_free(int pool) noexcept nogil:
    """The user is gone: each chunk's share of its page is given back."""
    cdef XskPool* p = &Z_pools[pool]
    cdef int i
    for i in range(p.n):
        put_page(M_bufs[p.chunk[i].buf].frame, H_KERNEL, b"xsk_umem_free:put")
    p.live = False


cdef bint xsk_umem_new(int pool, uint32_t chunk_size, uint32_t headroom, int n,
                       int rx_num) noexcept nogil:
    """A socket with n chunks, which the user has; False where the simulation has no more memory."""
    cdef XskPool* p = &Z_pools[pool]
    cdef int i, f = 0, b
    cdef uint32_t at
    memset(p, 0, sizeof(XskPool))
    Z.ever = True
    p.chunk_size = chunk_size
    p.headroom = headroom
    p.rx_num = rx_num
    for i in range(n):
        at = <uint32_t>i * chunk_size
        if at % PAGE_SIZE == 0:
            f = frame_new(F_PAGE, PAGE_SIZE, H_KERNEL, b"xsk_umem_new:page")
            if f:
                p.page[p.n_pages] = f
                p.n_pages += 1
        elif f:
            get_page(f, H_KERNEL, b"xsk_umem_new:share")
        b = 0
        if f:
            b = buf_new(f, at % PAGE_SIZE, at % PAGE_SIZE + chunk_size, b"xsk_umem_new:chunk")
        if b == 0:
            # uncovered: other ops have used up frames and buffers long before
            if f:
                put_page(f, H_KERNEL, b"xsk_umem_new:exhausted")
            xsk_umem_free(pool)
            return False
        M_bufs[b].state = B_XDP
        p.chunk[i].buf = b
        p.user[i] = i
        p.n = i + 1
    p.n_user = n
    p.live = True
    return True


cdef void xp_dma_unmap(int pool) noexcept nogil:
    cdef XskPool* p = &Z_pools[pool]
    cdef int i
    for i in range(p.n_pages):
        if p.dma[i]:
            dma_unmap(p.dma[i], PAGE_SIZE, DMA_BIDIRECTIONAL, False, b"xp_dma_unmap:page")
            p.dma[i] = 0
    kfree(p.dma_pages, b"xp_dma_unmap:dma_pages")
    kfree(p.dma_map, b"xp_dma_unmap:dma_map")
    kfree(p.pool_pages, b"xp_dma_unmap:pool_pages")
    p.dma_pages = p.dma_map = p.pool_pages = 0


cdef int xp_dma_map(int pool) noexcept nogil:
    """xp_dma_map(): every page, both ways; 0 or -ENOMEM."""
    cdef XskPool* p = &Z_pools[pool]
    cdef int i
    cdef uint64_t dma
    p.dma_map = kmalloc(64, b"xp_dma_map:dma_map")
    if p.dma_map == 0:
        return -ENOMEM
    p.dma_pages = kmalloc(<uint32_t>p.n_pages * 8, b"xp_dma_map:dma_pages")
    if p.dma_pages:
        for i in range(p.n_pages):
            dma = dma_map(addr_of(p.page[i], 0), PAGE_SIZE, DMA_BIDIRECTIONAL, b"xp_dma_map:page")
            if dma == DMA_ERROR:
                xp_dma_unmap(pool)
                return -ENOMEM
            p.dma[i] = dma
        p.pool_pages = kmalloc(<uint32_t>p.n_pages * 8, b"xp_dma_map:pool_pages")
    if p.pool_pages == 0:
        xp_dma_unmap(pool)
        return -ENOMEM
    return 0


# ---- the socket --------------------------------------------------------------------------------

cdef int xsk_rcv(const XdpBuff* x) noexcept nogil:
    """xsk_rcv() of a zero-copy buffer: a descriptor in the receive ring, which xsk_flush() shows.
    -ENOSPC: longer than a chunk; -ENOBUFS: no place, and the chunk is free."""
    cdef XskPool* p
    cdef Chunk* c
    cdef uint32_t size = <uint32_t>(x.data_end - x.data)
    if x.zc == 0:
        return -EINVAL      # uncovered: all buffers of a bound queue are chunks
    p = xsk_pool_of(x.zc)
    c = xsk_chunk(x.zc)
    if size > xsk_frame_room(p):
        p.n_dropped += 1
        return -ENOSPC
    if p.n_rx + p.n_new == p.rx_num:
        p.n_full += 1
        xsk_buff_free(x.zc, b"xsk_rcv:full")
        c.refused = True
        return -ENOBUFS
    judge_xsk_desc(x.zc, x)
    c.data = x.data
    c.len = size
    xsk_move(x.zc, CHUNK_RX, H_DRV, H_KERNEL, B_XDP, b"xsk_rcv:reserve")
    p.rx[(p.rx_head + p.n_rx + p.n_new) % XSK_CHUNKS_MAX] = (x.zc - 1) % XSK_CHUNKS_MAX
    p.n_new += 1
    return 0


cdef int xsk_unflushed() noexcept nogil:
    """Descriptors that no user sees yet."""
    cdef int i, n = 0
    for i in range(XSK_POOLS_MAX):
        if Z_pools[i].live:
            n += Z_pools[i].n_new
    return n


cdef void xsk_map_flush() noexcept nogil:
    """__xsk_map_flush(): of all sockets that were given something."""
    cdef int i
    for i in range(XSK_POOLS_MAX):
        if Z_pools[i].live and Z_pools[i].n_new:
            Z_pools[i].n_rx += Z_pools[i].n_new
            Z_pools[i].n_new = 0
            Z_pools[i].n_hidden = 0


cdef int xsk_user_fill(XskPool* p, int n, bint wrong) noexcept nogil:
    """The user puts up to n of his chunks into the fill ring, behind an address that is none; how
    many entries. Only of what the kernel told him does he know that there is room again."""
    cdef int k, done = 0
    if wrong and p.n_fill + p.n_hidden < XSK_FILL_MAX:
        p.fill[(p.fill_head + p.n_fill) % XSK_FILL_MAX] = -1
        p.n_fill += 1
        done += 1
    while n and p.n_user and p.n_fill + p.n_hidden < XSK_FILL_MAX:
        step(b"xsk_user_fill:loop")
        k = p.user[p.user_head]
        p.user_head = (p.user_head + 1) % XSK_CHUNKS_MAX
        p.n_user -= 1
        p.fill[(p.fill_head + p.n_fill) % XSK_FILL_MAX] = k
        p.n_fill += 1
        p.chunk[k].place = CHUNK_FILL
        n -= 1
        done += 1
    return done


cdef int xsk_user_take(XskPool* p) noexcept nogil:
    """The user takes the oldest packet from the receive ring: its chunk's number, -1 if none."""
    cdef int k
    if p.n_rx == 0:
        return -1
    k = p.rx[p.rx_head]
    p.rx_head = (p.rx_head + 1) % XSK_CHUNKS_MAX
    p.n_rx -= 1
    p.chunk[k].place = CHUNK_USER
    p.user[(p.user_head + p.n_user) % XSK_CHUNKS_MAX] = k
    p.n_user += 1
    return k


# ---- pieces of pages -----------------------------------------------------------------------------

cdef uint64_t page_frag_alloc(uint32_t size, site_t site) noexcept nogil:
    """page_frag_alloc() since 6.13: `size` bytes where those before ended, from a chunk's start on;
    0 without memory. A full chunk of which nobody has a piece begins again."""
    cdef PageFrag* pf = &Z.frag
    cdef int b
    if pf.page and pf.offset + size > pf.size:
        pf.offset = 0
        if M_frames[pf.page].refcount != 1:
            put_page(pf.page, H_FRAG, site)
            pf.page = 0
    if pf.page == 0:
        pf.offset = 0
        pf.size = <uint32_t>PAGE_SIZE << PAGE_FRAG_ORDER
        pf.page = alloc_pages(PAGE_FRAG_ORDER, H_FRAG, b"page_frag_alloc:high_order")
        if pf.page == 0:
            pf.size = PAGE_SIZE
            pf.page = alloc_pages(0, H_FRAG, b"page_frag_alloc:page")
        if pf.page == 0:
            return 0
        M_frames[pf.page].copy = True
    b = page_frag_take(pf, size, site)
    return addr_of(pf.page, M_bufs[b].a_start) if b else 0


cdef void page_frag_drain(site_t site) noexcept nogil:
    """page_frag_cache_drain()."""
    if Z.frag.page:
        put_page(Z.frag.page, H_FRAG, site)
        Z.frag.page = 0


# ---- frames ------------------------------------------------------------------------------------

cdef int xdp_convert_zc_to_xdp_frame(const XdpBuff* x, site_t site) noexcept nogil:
    """A frame that is a copy, in a page of its own; the chunk is free then. 0: no room, no page."""
    cdef uint32_t metasize = <uint32_t>(x.data - x.data_meta)
    cdef uint32_t totsize = <uint32_t>(x.data_end - x.data_meta)
    cdef XdpFrame* p
    cdef uint64_t to
    cdef int page, b, fr
    if XDP_FRAME_SIZE + totsize > PAGE_SIZE - SHINFO_SIZE:
        return 0
    page = alloc_pages(0, H_DRV, site)
    if page == 0:
        return 0
    b = buf_new(page, 0, PAGE_SIZE, site)
    fr = xdp_frame_new() if b else 0
    if fr == 0:
        # uncovered: frames of the simulation run out in programs for that only
        put_page(page, H_DRV, site)
        return 0
    to = addr_of(page, XDP_FRAME_SIZE)
    M_frames[page].copy = True
    cpu_write(addr_of(page, 0), XDP_FRAME_SIZE, site)
    cpu_copy(to, x.data_meta, totsize, site)
    M_bufs[b].p_end = XDP_FRAME_SIZE + totsize
    p = &X_frame[fr]
    p.data = to + metasize
    p.len = totsize - metasize
    p.headroom = metasize
    p.metasize = metasize
    p.frame_sz = PAGE_SIZE
    p.shared = addr_of(page, PAGE_SIZE - SHINFO_SIZE)
    xsk_buff_free(x.zc, b"xdp_convert_zc_to_xdp_frame:free")
    return fr
