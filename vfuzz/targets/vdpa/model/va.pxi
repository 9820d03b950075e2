# SPDX-License-Identifier: GPL-2.0-or-later
"""VA mode: a parent that works with user addresses gets files instead of pinned pages.

vhost_vdpa_va_map(), vhost_vdpa_va_unmap(), vhost_vdpa_bind_mm() of drivers/vhost/vdpa.c (6.1.192
and 6.12.117, which agree here), struct vdpa_map_file of include/linux/vdpa.h. A mapping's address
is the user address, unrounded, and its opaque pointer a record of a file, which is referenced, and
an offset in it.
"""


# ---- file records ----

cdef int map_file_new(int file, uint64_t offset, int owner, site_t site) noexcept nogil:
    """kzalloc() of a struct vdpa_map_file and get_file(): its number, or 0. A fault site (alloc).

    owner: MAP_FILE_*, whose mapping it belongs to.
    """
    cdef int m
    if fault(FAULT_ALLOC, site):
        return 0
    if M.free:
        m = M.free
        M.free = M_files[m].next
    elif M.n < MAP_FILES_MAX:
        m = M.n
        M.n += 1
    else:
        give_up()
        return 0
    M_files[m].live = True
    M_files[m].file = file
    M_files[m].offset = offset
    M_files[m].owner = <uint8_t>owner
    M_files[m].next = 0
    M.refs[owner][file] += 1
    return m


cdef void map_file_put(int m, site_t site) noexcept nogil:
    """fput() and kfree() of a record. V16: it is there."""
    if unlikely(m == 0 or not M_files[m].live):
        violation(CHECK_V16, site, b"file record", m,
                  b"file record %lld is released, but is NULL or was freed", m, 0, 0)
    M_files[m].live = False
    M.refs[M_files[m].owner][M_files[m].file] -= 1
    M_files[m].next = M.free
    M.free = m


# ---- VMAs ----

cdef inline bint same_vma(const Upage* u, const Upage* next) noexcept nogil:
    """Do two neighbouring pages lie in one VMA, as mmap_region() merges them?"""
    if next.frame == 0 or u.kind != next.kind or u.readonly != next.readonly:
        return False
    return u.kind == MMAP_KIND_ANON or (u.file == next.file and u.pgoff + 1 == next.pgoff)


cdef bint find_vma(uint64_t uaddr, Vma* vma) noexcept nogil:
    """find_vma(): the first VMA that ends above `uaddr`; it may begin above it too.

    Only what lies from uaddr on is looked at: vma.start is never below the page of uaddr, and
    vma.pgoff is that page's.
    """
    cdef int p = 0
    if uaddr >= UAREA_BASE:
        if (uaddr - UAREA_BASE) >> PAGE_SHIFT >= UAREA_PAGES:
            return False
        p = <int>((uaddr - UAREA_BASE) >> PAGE_SHIFT)
    p = max(p, mm.lo)
    while p < mm.hi and mm_pages[p].frame == 0:
        p += 1
    if p >= mm.hi:
        return False
    vma.start = UAREA_BASE + (<uint64_t>p << PAGE_SHIFT)
    vma.shared = mm_pages[p].kind != MMAP_KIND_ANON
    vma.file = mm_pages[p].file
    vma.pgoff = mm_pages[p].pgoff
    while p + 1 < mm.hi and same_vma(&mm_pages[p], &mm_pages[p + 1]):
        p += 1
    vma.end = UAREA_BASE + (<uint64_t>(p + 1) << PAGE_SHIFT)
    return True


# ---- map and unmap ----

cdef void vhost_vdpa_va_unmap(Iotlb* iotlb, uint64_t start, uint64_t last,
                              uint32_t asid) noexcept nogil:
    cdef int m = vhost_iotlb_itree_first(iotlb, start, last)
    while m:
        map_file_put(I_maps[m].opaque, b"vhost_vdpa_va_unmap:put")
        vhost_vdpa_general_unmap(&I_maps[m], asid)
        vhost_iotlb_map_free(iotlb, m, b"vhost_vdpa_va_unmap:free")
        m = vhost_iotlb_itree_first(iotlb, start, last)


cdef int vhost_vdpa_va_map(int a, uint64_t iova, uint64_t size, uint64_t uaddr,
                           uint32_t perm) noexcept nogil:
    """Map [uaddr, uaddr + size) at iova, a mapping for each VMA of a shared file in it.

    Other VMAs are passed over in silence. A gap before a VMA counts as part of it, with an offset
    below its own. What an error undoes is a start and a length, and the length may be 0.
    """
    cdef uint64_t map_iova = iova, map_size, offset
    cdef int m, ret = 0
    cdef Vma vma
    while size:
        step(b"vhost_vdpa_va_map:vma")
        if not find_vma(uaddr, &vma):
            ret = -EINVAL
            break
        map_size = min(size, vma.end - uaddr)
        if vma.shared:
            # vm_start is at or below vma.start, which has vm_pgoff's offset added
            offset = (<uint64_t>vma.pgoff << PAGE_SHIFT) + uaddr - vma.start
            m = map_file_new(vma.file, offset, MAP_FILE_VHOST, b"vhost_vdpa_va_map:record")
            if m == 0:
                ret = -ENOMEM
                break
            ret = vhost_vdpa_map(a, map_iova, map_size, uaddr, perm, m)
            if ret:
                map_file_put(m, b"vhost_vdpa_va_map:put")
                break
        size -= map_size
        uaddr += map_size
        map_iova += map_size
    if ret:
        vhost_vdpa_unmap(a, iova, map_iova - iova)
    return ret


# ---- the owner's memory ----

cdef void vhost_vdpa_bind_mm() noexcept nogil:
    """SET_OWNER tells a parent that works with user addresses whose they are (6.4)."""
    if vdpa.use_va and vdpa.has_bind_mm:
        vdpasim.mm_bound = v.mm


cdef void vhost_vdpa_unbind_mm() noexcept nogil:
    if vdpa.use_va and vdpa.has_bind_mm:
        vdpasim.mm_bound = 0
