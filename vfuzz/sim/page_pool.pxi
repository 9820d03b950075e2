# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""Page pools: pages that one queue's buffers are made of, and go back to.

Names are those of net/core/page_pool.c and include/net/page_pool/helpers.h. A page of a pool has
one reference for the page allocator, which the pool keeps, and a number of users, which the pool
counts: here `refcount` and `hold` of its frame are those users, and `pool` says whose page it is.
With DMA the pool maps each page once, as a whole, and the mapping stays while pages come and go.

As everywhere in this memory a frame has one life: a page that comes back is gone, so that whoever
still uses it is seen, and what the pool hands out next is a new frame under the old mapping. In its
cache are therefore mappings, not pages (0: a page without one).

The books: S19 the cache that needs no lock belongs to the pool's NAPI; S20 a page goes back by way
of its pool only; S21 a pool and its NAPI live while pages are out or posted; S22 nothing else goes
into a pool. The including module defines
    bint pool_napi_live(int queue)      is the NAPI context of a receive queue still there?
"""

cdef enum:
    POOLS_MAX = 200             # pools in one program: each resume makes new ones
    PP_CACHE_SIZE = 128         # PP_ALLOC_CACHE_SIZE
    PP_REFILL = 64              # PP_ALLOC_CACHE_REFILL: pages taken from the allocator at a time
    PP_RING_MAX = 32

cdef struct PagePool:
    bint live                   # not destroyed
    bint dma                    # PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV
    int queue                   # its NAPI is this queue's
    int32_t frag_page           # the page that fragments are cut from: a user of it; 0 none
    uint32_t frag_offset
    int inflight                # pages outside
    int ring_size
    int n_cache                 # alloc.cache, the last one in goes out first
    int n_ring                  # ptr_ring, the first one in goes out first
    int ring_head
    uint64_t cache[PP_CACHE_SIZE]
    uint64_t ring[PP_RING_MAX]

cdef struct Pools:
    int n                       # pool 0 is NULL
    int polled                  # queue whose NAPI is polled, else -1

cdef Pools PP
cdef PagePool PP_pool[POOLS_MAX]
cdef uint64_t PP_dma[FRAMES_MAX]    # of a page: its DMA address, 0 none


cdef inline void pools_reset() noexcept nogil:
    PP.n = 1
    PP.polled = -1


cdef int page_pool_create(int queue, int size, bint dma, site_t site) noexcept nogil:
    """page_pool_create(): a pool without pages, 0 on failure. A fault site (alloc)."""
    cdef PagePool* p
    if fault(FAULT_ALLOC, site):
        return 0
    if PP.n >= POOLS_MAX:
        M.exhausted = True
        return 0
    p = &PP_pool[PP.n]
    memset(p, 0, sizeof(PagePool) - sizeof(p.cache) - sizeof(p.ring))
    p.live = True
    p.dma = dma
    p.queue = queue
    p.ring_size = min(size, PP_RING_MAX)
    PP.n += 1
    ev(b"alloc", b"pool", PP.n - 1, queue, dma, site)
    return PP.n - 1


cdef cold_void pool_foreign(int f, int pool, site_t site) noexcept nogil:
    violation(CHECK_S22, site, frame_kind(f), f,
              b"frame %lld of pool %lld is put into pool %lld (0: of no pool)", f, M_frames[f].pool,
              pool)


cdef cold_void pool_page_put(int f, site_t site) noexcept nogil:
    """put_page() of a page that has a pool."""
    violation(CHECK_S20, site, b"page", f,
              b"put_page() frees page %lld of pool %lld, which counts %lld user(s) of it", f,
              M_frames[f].pool, M_frames[f].refcount)


# ---- pages come and go -------------------------------------------------------------------------

cdef void pool_unmap(uint64_t dma, site_t site) noexcept nogil:
    """A page goes back to the allocator: the mapping of one that has no frame any more ends."""
    cdef Map* m
    if dma == 0:
        return
    m = &D_maps[map_of(dma)]
    m.live = False
    D.n_live -= 1
    ev(b"unmap", b"mapping", map_of(dma), 0, m.len, site)


cdef bint pool_refill(PagePool* p, site_t site) noexcept nogil:
    """__page_pool_alloc_netmems_slow(): so many new pages, of which those that can be mapped stay.
    A fault site (alloc), and one for each mapping (map)."""
    cdef int i, m
    if fault(FAULT_ALLOC, site):
        return False
    for i in range(PP_REFILL):
        p.cache[p.n_cache] = 0
        if p.dma:
            if fault(FAULT_MAP, site):
                continue
            m = map_new(0, PAGE_SIZE, DMA_FROM_DEVICE)
            if m == 0:
                continue
            p.cache[p.n_cache] = map_dma(m)
        p.n_cache += 1
    ev(b"refill", b"pool", p.queue, p.n_cache, 0, site)
    return p.n_cache != 0


cdef int page_pool_alloc_pages(int pool, int holder, site_t site) noexcept nogil:
    """page_pool_alloc_pages(): a whole page with one user, 0 on failure."""
    cdef PagePool* p = &PP_pool[pool]
    cdef uint64_t dma
    cdef int f
    if p.n_cache == 0:
        # page_pool_refill_alloc_cache()
        while p.n_ring and p.n_cache < PP_REFILL:
            p.cache[p.n_cache] = p.ring[p.ring_head]
            p.ring_head = (p.ring_head + 1) % PP_RING_MAX
            p.n_cache += 1
            p.n_ring -= 1
        if p.n_cache == 0 and not pool_refill(p, site):
            return 0
    f = frame_new(F_PAGE, PAGE_SIZE, holder, site)
    if f == 0:
        return 0
    p.n_cache -= 1
    dma = p.cache[p.n_cache]
    M_frames[f].pool = <uint8_t>pool
    PP_dma[f] = dma
    if dma:
        D_maps[map_of(dma)].addr = addr_of(f, 0)
        M_frames[f].n_maps = 1
    p.inflight += 1
    return f


cdef void pool_recycle(int f, bint direct, site_t site) noexcept nogil:
    """page_pool_put_unrefed_netmem(): the last user of page f is gone. It goes to the cache or the
    ring, and to the allocator where these are full or the pool is destroyed."""
    cdef PagePool* p = &PP_pool[M_frames[f].pool]
    cdef uint64_t dma = PP_dma[f]
    # the mapping outlives the page's user
    M_frames[f].n_maps = 0
    p.inflight -= 1
    frame_release(f, site)
    if not p.live:
        return
    if direct and p.n_cache < PP_CACHE_SIZE:
        p.cache[p.n_cache] = dma
        p.n_cache += 1
    elif p.n_ring < p.ring_size:
        p.ring[(p.ring_head + p.n_ring) % PP_RING_MAX] = dma
        p.n_ring += 1
    else:
        pool_unmap(dma, site)


cdef void pool_unref(int f, int holder, bint direct, site_t site) noexcept nogil:
    """One user of page f, `holder`, is done with it. S1, S3 as with put_page()."""
    cdef Frame* p = &M_frames[f]
    check_live(f, site)
    if unlikely(p.hold[holder] == 0):
        put_unheld(f, holder, site)
    p.hold[holder] -= 1
    p.refcount -= 1
    if holder == H_DRV:
        M.drv_refs -= 1
    ev_frame(b"put", f, holder, p.refcount, site)
    if p.refcount == 0:
        # page_pool_napi_local()
        pool_recycle(f, direct or PP.polled == PP_pool[p.pool].queue, site)


cdef void page_pool_return(int f, int holder, site_t site) noexcept nogil:
    """napi_pp_put_page(), __xdp_return(): a page goes back to the pool that it says it is of."""
    check_live(f, site)
    if unlikely(M_frames[f].pool == 0):
        pool_foreign(f, 0, site)
    pool_unref(f, holder, False, site)


cdef void page_pool_put_page(int pool, int f, bint direct, site_t site) noexcept nogil:
    """page_pool_put_page() by the driver, who says which pool it is, and whether it runs in that
    pool's NAPI (direct: S19)."""
    check_live(f, site)
    if unlikely(M_frames[f].pool != pool):
        pool_foreign(f, pool, site)
    if unlikely(direct and PP.polled != PP_pool[pool].queue):
        violation(CHECK_S19, site, b"pool", pool,
                  b"page %lld put into the cache of pool %lld outside of its NAPI", f, pool, 0)
    pool_unref(f, H_DRV, direct, site)


cdef void page_pool_put_buf(int pool, uint64_t addr, bint direct, site_t site) noexcept nogil:
    """page_pool_put_page() of the driver's buffer at `addr`. S3: it is the driver's."""
    cdef int f = frame_of(addr)
    cdef int b
    check_live(f, site)
    b = buf_at(f, offset_of(addr))
    if unlikely(b != 0 and M_bufs[b].state != B_DRV):
        violation(CHECK_S3, site, b"buffer", b,
                  b"put of buffer %lld, which is not the driver's (state %lld)", b,
                  M_bufs[b].state, 0)
    if b:
        buf_drop(f, b, site)
    page_pool_put_page(pool, f, direct, site)


# ---- fragments ---------------------------------------------------------------------------------

cdef uint64_t page_pool_alloc_va(int pool, uint32_t* size, site_t site) noexcept nogil:
    """page_pool_alloc_va(): a buffer of at least *size bytes in the driver's hands, 0 on failure.
    *size becomes what it really has: the whole page where two do not fit, and the rest of the page
    where no other fits behind it."""
    cdef PagePool* p = &PP_pool[pool]
    cdef uint32_t offset = 0
    cdef int f
    if size[0] * 2 > PAGE_SIZE:
        size[0] = PAGE_SIZE
        f = page_pool_alloc_pages(pool, H_DRV, site)
    else:
        if p.frag_page and p.frag_offset + size[0] > PAGE_SIZE:
            # page_pool_drain_frag(): with nobody else's fragment left it is there again at once
            pool_unref(p.frag_page, H_FRAG, True, b"page_pool_drain_frag:put")
            p.frag_page = 0
        if p.frag_page == 0:
            p.frag_page = page_pool_alloc_pages(pool, H_FRAG, site)
            p.frag_offset = 0
        f = p.frag_page
        if f:
            offset = p.frag_offset
            get_live_page(f, H_DRV, site)
            p.frag_offset += size[0]
            if p.frag_offset + size[0] > PAGE_SIZE:
                size[0] = PAGE_SIZE - offset
                p.frag_offset = PAGE_SIZE
    if f == 0:
        return 0
    if buf_new(f, offset, offset + size[0], site) == 0:
        # uncovered: there are as many frames as buffers, and never fewer are used
        pool_unref(f, H_DRV, False, site)
        return 0
    return addr_of(f, offset)


cdef void page_pool_dma_sync_for_cpu(int f, uint32_t offset, uint32_t size, uint32_t posted,
                                     int direction, site_t site, site_t site_length) noexcept nogil:
    dma_sync_for_cpu(PP_dma[f], offset, size, posted, direction, site, site_length)


# ---- the end -----------------------------------------------------------------------------------

cdef void page_pool_destroy(int pool, site_t site) noexcept nogil:
    """page_pool_destroy(): pages inside go, those outside lose their mapping and go when their
    users are done. S21: none of them is posted, and its NAPI is still there."""
    cdef PagePool* p = &PP_pool[pool]
    cdef int f
    if unlikely(not pool_napi_live(p.queue)):
        violation(CHECK_S21, site, b"pool", pool,
                  b"pool %lld is destroyed after NAPI of queue %lld was freed", pool, p.queue, 0)
    if p.frag_page:
        pool_unref(p.frag_page, H_FRAG, False, b"page_pool_free_frag:put")
        p.frag_page = 0
    p.live = False
    while p.n_cache:
        p.n_cache -= 1
        pool_unmap(p.cache[p.n_cache], site)
    while p.n_ring:
        pool_unmap(p.ring[p.ring_head], site)
        p.ring_head = (p.ring_head + 1) % PP_RING_MAX
        p.n_ring -= 1
    ev(b"destroy", b"pool", pool, p.inflight, 0, site)
    if p.inflight == 0:
        return
    for f in range(1, M.n_frames):
        if M_frames[f].live and M_frames[f].pool == pool:
            if unlikely(M_frames[f].hold[H_RING] != 0):
                violation(CHECK_S21, site, b"pool", pool,
                          b"pool %lld is destroyed while its page %lld is posted to the device",
                          pool, f, 0)
            # page_pool_scrub()
            M_frames[f].n_maps = 0
            pool_unmap(PP_dma[f], site)
            PP_dma[f] = 0


cdef void pools_leak_check(site_t site) noexcept nogil:
    """S21 at quiescence: every pool is destroyed, and has all of its pages back."""
    cdef int i
    for i in range(1, PP.n):
        if unlikely(PP_pool[i].live or PP_pool[i].inflight != 0):
            violation(CHECK_S21, site, b"pool", i,
                      b"pool %lld at the end: live %lld, %lld page(s) outside", i, PP_pool[i].live,
                      PP_pool[i].inflight)
