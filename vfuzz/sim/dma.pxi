# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""DMA mappings with ownership, as an IOMMU with one address window per mapping would enforce them.

A DMA address is either physical (device without the DMA API: the frame's own address) or an IOVA:
`DMA_IOVA | mapping << IOVA_SHIFT | offset`. So every device access names its mapping, and an access
after the unmap or beyond the mapped length is seen. With a bounce buffer (swiotlb) what the device
writes is invisible to the CPU until a sync or unmap copies it.
"""

cdef enum:
    MAPS_MAX = 8192
    IOVA_SHIFT = 20
    DMA_TO_DEVICE = 1
    DMA_FROM_DEVICE = 2

cdef extern from *:
    """
    #define DMA_IOVA ((uint64_t)1 << 62)
    #define DMA_ERROR (~(uint64_t)0)
    """
    uint64_t DMA_IOVA
    uint64_t DMA_ERROR

cdef struct Map:
    uint64_t addr               # CPU address
    uint32_t len
    uint8_t direction
    uint8_t live

cdef struct Dma:
    int n_maps
    int n_live
    bint use_dma_api            # the device sits behind the DMA API (VIRTIO_F_ACCESS_PLATFORM)
    bint swiotlb                # mappings bounce: sync matters
    int slots                   # so many mappings at a time, 0: no limit

cdef Dma D
cdef Map D_maps[MAPS_MAX]


cdef inline void dma_reset(bint use_dma_api, int swiotlb) noexcept nogil:
    D.n_maps = 1
    D.n_live = 0
    D.use_dma_api = use_dma_api
    D.swiotlb = swiotlb != 0
    D.slots = swiotlb if swiotlb > 1 else 0
    M.bounce = use_dma_api and swiotlb


cdef inline int map_of(uint64_t dma) noexcept nogil:
    return <int>((dma & ~DMA_IOVA) >> IOVA_SHIFT)


cdef inline int map_new(uint64_t addr, uint32_t size, int direction) noexcept nogil:
    """A live mapping, 0 where there is no place for one more: swiotlb is full, which is an ordinary
    failure and the usual one, or the arena is."""
    cdef int m = D.n_maps
    if unlikely(D.slots != 0 and D.n_live >= D.slots):
        return 0
    if unlikely(m >= MAPS_MAX):
        M.exhausted = True
        return 0
    D.n_maps += 1
    D.n_live += 1
    D_maps[m].addr = addr
    D_maps[m].len = size
    D_maps[m].direction = <uint8_t>direction
    D_maps[m].live = True
    return m


cdef inline uint64_t map_dma(int m) noexcept nogil:
    """The DMA address of a mapping's start."""
    return DMA_IOVA | (<uint64_t>m << IOVA_SHIFT)


cdef uint64_t dma_map(uint64_t addr, uint32_t size, int direction, site_t site) noexcept nogil:
    """dma_map_single(): a DMA address, or DMA_ERROR. A fault site (map)."""
    cdef int m
    cdef int f = frame_of(addr)
    if fault(FAULT_MAP, site):
        return DMA_ERROR
    check_live(f, site)
    if unlikely(offset_of(addr) + size > M_frames[f].size):
        violation(CHECK_S6, site, frame_kind(f), f,
                  b"mapping of [%lld, %lld) beyond the object's %lld bytes", offset_of(addr),
                  offset_of(addr) + size, M_frames[f].size)
    m = map_new(addr, size, direction)
    if m == 0:
        return DMA_ERROR
    M_frames[f].n_maps += 1
    ev(b"map", b"mapping", m, f, size, site)
    return map_dma(m)


cdef void dma_unmap(uint64_t dma, uint32_t size, int direction, bint skip_sync,
                    site_t site) noexcept nogil:
    """dma_unmap_single(). S25: a live mapping, from its start, with its length and direction."""
    cdef int m = map_of(dma)
    cdef Map* p
    if unlikely(not (dma & DMA_IOVA) or m <= 0 or m >= D.n_maps or dma == DMA_ERROR):
        violation(CHECK_S25, site, b"mapping", m, b"unmap of an address that was never mapped",
                  0, 0, 0)
    p = &D_maps[m]
    if unlikely(not p.live):
        violation(CHECK_S25, site, b"mapping", m, b"mapping %lld unmapped twice", m, 0, 0)
    if unlikely((dma & ((<uint64_t>1 << IOVA_SHIFT) - 1)) != 0 or p.len != size
                or p.direction != direction):
        violation(CHECK_S25, site, b"mapping", m,
                  b"unmap of %lld bytes of mapping %lld, which has %lld", size, m, p.len)
    p.live = False
    D.n_live -= 1
    M_frames[frame_of(p.addr)].n_maps -= 1
    if D.swiotlb and direction != DMA_TO_DEVICE and not skip_sync:
        extents_sync(frame_of(p.addr), offset_of(p.addr), offset_of(p.addr) + size, site)
    ev(b"unmap", b"mapping", m, frame_of(p.addr), size, site)


cdef void dma_sync_for_cpu(uint64_t dma, uint32_t offset, uint32_t size, uint32_t posted,
                           int direction, site_t site, site_t site_length) noexcept nogil:
    """dma_sync_single_range_for_cpu(). S27: a live mapping in its direction; inside it, and not
    beyond the `posted` bytes that the device was given (at site_length)."""
    cdef int m = map_of(dma)
    cdef Map* p
    if unlikely(not (dma & DMA_IOVA) or m <= 0 or m >= D.n_maps or not D_maps[m].live):
        violation(CHECK_S27, site, b"mapping", m, b"sync of mapping %lld, which is not live", m,
                  0, 0)
    p = &D_maps[m]
    if unlikely(p.direction != direction):
        violation(CHECK_S27, site, b"mapping", m,
                  b"sync with direction %lld of a mapping with direction %lld", direction,
                  p.direction, 0)
    if unlikely(offset + size > p.len):
        violation(CHECK_S27, site_length, b"mapping", m,
                  b"sync of [%lld, %lld) beyond the mapped %lld bytes", offset, offset + size,
                  p.len)
    if unlikely(size > posted):
        violation(CHECK_S27, site_length, b"mapping", m,
                  b"sync of %lld bytes where %lld were posted", size, posted, 0)
    extents_sync(frame_of(p.addr), offset_of(p.addr) + offset, offset_of(p.addr) + offset + size,
                 site)


cdef uint64_t map_resolve(uint64_t dma, uint32_t size, bint write, site_t site) noexcept nogil:
    """dma_resolve() as far as the mapping goes."""
    cdef int m = map_of(dma)
    cdef uint32_t offset = <uint32_t>(dma & ((1 << IOVA_SHIFT) - 1))
    if unlikely(m <= 0 or m >= D.n_maps or not D_maps[m].live):
        violation(CHECK_S24, site, b"mapping", m,
                  b"device access through mapping %lld, which is not live", m, 0, 0)
    if unlikely(offset + size > D_maps[m].len):
        violation(CHECK_S6, site, b"mapping", m,
                  b"posted [%lld, %lld) lies outside the mapped %lld bytes", offset,
                  offset + size, D_maps[m].len)
    if unlikely(write and D_maps[m].direction == DMA_TO_DEVICE):
        violation(CHECK_S24, site, b"mapping", m,
                  b"device write through mapping %lld, which is read-only", m, 0, 0)
    return D_maps[m].addr + offset


cdef always_u64 dma_resolve(uint64_t dma, uint32_t size, bint write, site_t site) noexcept nogil:
    """The device touches [dma, dma+size): the CPU address it reaches.

    S24: only through a live mapping; S6: inside it; S1: live memory.
    """
    cdef uint64_t addr = dma
    if dma & DMA_IOVA:
        addr = map_resolve(dma, size, write, site)
    check_live(frame_of(addr), site)
    if unlikely(offset_of(addr) + size > M_frames[frame_of(addr)].size):
        violation(CHECK_S6, site, frame_kind(frame_of(addr)), frame_of(addr),
                  b"posted [%lld, %lld) beyond the object's %lld bytes", offset_of(addr),
                  offset_of(addr) + size, M_frames[frame_of(addr)].size)
    return addr


cdef void maps_leak_check(site_t site) noexcept nogil:
    """S24 at quiescence: no live mapping."""
    cdef int m
    if likely(D.n_live == 0):
        return
    for m in range(1, D.n_maps):
        if D_maps[m].live:
            violation(CHECK_S24, site, b"mapping", m,
                      b"mapping %lld of %lld bytes is still live at the end (%lld in all)", m,
                      D_maps[m].len, D.n_live)
