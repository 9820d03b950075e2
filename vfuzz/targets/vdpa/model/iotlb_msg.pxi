# SPDX-License-Identifier: GPL-2.0-or-later
"""IOTLB messages, pinning and mapping: drivers/vhost/vdpa.c, vhost_chr_write_iter() in vhost.c.

As of 6.1.192 and 6.12.117, which agree here.
"""


# ---- address spaces ----

cdef int asid_to_as(uint32_t asid) noexcept nogil:
    """The address space with this id, 0 if there is none."""
    cdef int a = v.hash[asid % BUCKETS]
    while a:
        if unlikely(not A_as[a].live):
            violation(CHECK_V16, b"asid_to_as:freed", b"address space", a,
                      b"a hash bucket still has address space %lld (id %lld), which was freed", a,
                      A_as[a].id, 0)
        if A_as[a].id == asid:
            return a
        a = A_as[a].next
    return 0


cdef int vhost_vdpa_alloc_as(uint32_t asid) noexcept nogil:
    """A new address space in its bucket, 0 if the id or memory does not allow it."""
    global A_n_as
    cdef int a
    cdef uint32_t limit = entries_of(P.boot[BOOT_ENTRIES])
    if asid_to_as(asid):
        return 0    # uncovered: its caller has looked
    # review of v2 of the series: any id made an address space
    if asid >= vdpa.nas and not quirk(QUIRK_A06):
        return 0
    # 1ed35ac7f3fe: and without a limit there is no room
    if limit == 0 and not era_7_0():
        return 0
    if fault(FAULT_ALLOC, b"vhost_vdpa_alloc_as:kmalloc"):
        return 0
    if unlikely(A_n_as >= AS_MAX):
        give_up()
    a = A_n_as
    A_n_as += 1
    vhost_iotlb_init(&A_as[a].iotlb, limit, 0, L_DEV)
    A_as[a].id = asid
    A_as[a].live = True
    A_as[a].next = v.hash[asid % BUCKETS]
    v.hash[asid % BUCKETS] = a
    A_changed_set(True)
    ev(b"alloc", b"address space", a, asid, 0, b"vhost_vdpa_alloc_as:new")
    return a


cdef inline int vhost_vdpa_find_alloc_as(uint32_t asid) noexcept nogil:
    cdef int a = asid_to_as(asid)
    return a if a else vhost_vdpa_alloc_as(asid)


cdef int vhost_vdpa_remove_as(uint32_t asid) noexcept nogil:
    """Unlink, unmap all of it, restore the device's table, free. -EINVAL if there is none."""
    cdef int a = asid_to_as(asid)
    cdef int32_t* link = &v.hash[asid % BUCKETS]
    # RFC v2 of the series: 0 was thought to be permanent
    if a == 0 or (asid == 0 and quirk(QUIRK_A01)):
        return -EINVAL
    while link[0] != a:
        link = &A_as[link[0]].next      # uncovered: no device has more spaces than buckets
    link[0] = A_as[a].next
    A_changed_set(True)
    if quirk(QUIRK_A14):
        # c070c1912a83: pins, files and the device were forgotten
        vhost_iotlb_reset(&A_as[a].iotlb)
    else:
        vhost_vdpa_iotlb_unmap(&A_as[a].iotlb, 0, U64_MAX, asid)
    if vdpa.has_reset_map:
        ops_reset_map(asid)
    A_as[a].live = False
    ev(b"free", b"address space", a, asid, 0, b"vhost_vdpa_remove_as:free")
    return 0


# ---- map and unmap ----

cdef inline void vhost_vdpa_general_unmap(const Map* map, uint32_t asid) noexcept nogil:
    # e794070af224: the device was told the message's range instead, see vhost_vdpa_unmap()
    if not quirk(QUIRK_A15):
        device_unmap(asid, map.start, map.size)


cdef inline void device_unmap(uint32_t asid, uint64_t iova, uint64_t size) noexcept nogil:
    if vdpa.has_dma_map:
        ops_dma_unmap(asid, iova, size)
    elif not vdpa.has_set_map:
        judge_dma_unmap(asid, iova, iova + size - 1)
        iommu_unmap(v.domain, iova, size)


cdef void vhost_vdpa_pa_unmap(Iotlb* iotlb, uint64_t start, uint64_t last,
                              uint32_t asid) noexcept nogil:
    cdef int m, page
    cdef uint64_t pfn, pinned
    cdef Map* map
    m = vhost_iotlb_itree_first(iotlb, start, last)
    while m:
        map = &I_maps[m]
        pinned = map.size >> PAGE_SHIFT
        pfn = map.addr >> PAGE_SHIFT
        while pinned:
            page = pfn_to_page(pfn, b"vhost_vdpa_pa_unmap:page")
            if map.perm & VHOST_ACCESS_WO:
                set_page_dirty_lock(page, b"vhost_vdpa_pa_unmap:dirty")
            unpin_user_page(page, b"vhost_vdpa_pa_unmap:unpin")
            pfn += 1
            pinned -= 1
        mm.pinned_vm -= <int64_t>(map.size >> PAGE_SHIFT)
        vhost_vdpa_general_unmap(map, asid)
        vhost_iotlb_map_free(iotlb, m, b"vhost_vdpa_pa_unmap:free")
        m = vhost_iotlb_itree_first(iotlb, start, last)


cdef inline void vhost_vdpa_iotlb_unmap(Iotlb* iotlb, uint64_t start, uint64_t last,
                                        uint32_t asid) noexcept nogil:
    if vdpa.use_va:
        vhost_vdpa_va_unmap(iotlb, start, last, asid)
    else:
        vhost_vdpa_pa_unmap(iotlb, start, last, asid)


cdef int vhost_vdpa_map(int a, uint64_t iova, uint64_t size, uint64_t pa, uint32_t perm,
                        int opaque) noexcept nogil:
    """One mapping in the table of address space a and in the device; on failure in neither."""
    cdef Iotlb* iotlb = &A_as[a].iotlb
    cdef uint32_t asid = A_as[a].id
    cdef int r = vhost_iotlb_add_range_ctx(iotlb, iova, iova + size - 1, pa, perm, opaque)
    if r:
        return r
    if vdpa.has_dma_map:
        r = ops_dma_map(asid, iova, size, pa, perm, opaque)
    elif vdpa.has_set_map:
        if not v.in_batch:
            r = ops_set_map(asid, iotlb)
    else:
        perm_to_iommu_flags(perm)
        r = iommu_map(v.domain, iova, pa, size, perm)
    if r:
        vhost_iotlb_del_range(iotlb, iova, iova + size - 1)
        return r
    judge_map()
    # 5.7 charged all pages beforehand
    if not vdpa.use_va and not quirk(QUIRK_A33):
        mm.pinned_vm += <int64_t>(size >> PAGE_SHIFT)
    return 0


cdef void vhost_vdpa_unmap(int a, uint64_t iova, uint64_t size) noexcept nogil:
    """Remove every mapping that overlaps [iova, iova + size - 1], which may wrap."""
    cdef Iotlb* iotlb = &A_as[a].iotlb
    cdef uint32_t asid = A_as[a].id
    vhost_vdpa_iotlb_unmap(iotlb, iova, iova + size - 1, asid)
    if quirk(QUIRK_A15):
        device_unmap(asid, iova, size)
    if vdpa.has_set_map and not v.in_batch:
        ops_set_map(asid, iotlb)
    # c82729e06644: an empty address space was removed; the first posting did not spare a batch
    if iotlb.nmaps == 0 and (quirk(QUIRK_A02) or (quirk(QUIRK_A16) and not v.in_batch)):
        vhost_vdpa_remove_as(asid)


cdef int32_t pa_page_list[PAGE_LIST]


cdef void unpin_user_pages(const int32_t* pages, int n, site_t site) noexcept nogil:
    cdef int i
    for i in range(n):
        unpin_user_page(pages[i], site)


cdef void unpin_outstanding(uint64_t map_pfn, uint64_t last_pfn) noexcept nogil:
    """Pages of the run that is not mapped yet."""
    cdef uint64_t pfn
    for pfn in range(map_pfn, last_pfn + 1):
        unpin_user_page(pfn_to_page(pfn, b"vhost_vdpa_pa_map:outstanding"),
                        b"vhost_vdpa_pa_map:unpin")


cdef int pa_map_pages(int a, uint64_t start, uint64_t size, uint64_t uaddr, uint32_t perm,
                      uint64_t npages) noexcept nogil:
    """The loop of vhost_vdpa_pa_map(): pin PAGE_LIST pages at a time, map each physical run."""
    cdef uint64_t iova = start & ~<uint64_t>PAGE_MASK_LOW
    cdef uint64_t cur_base = uaddr & ~<uint64_t>PAGE_MASK_LOW
    cdef uint64_t map_pfn = 0, last_pfn = 0, this_pfn, csize
    cdef bint leak = quirk(QUIRK_A30), swallow = quirk(QUIRK_A32)
    cdef int sz2pin, pinned = 0, nchunks = 0, i, ret = 0
    while npages:
        sz2pin = <int>min(npages, <uint64_t>PAGE_LIST)
        pinned = pin_user_pages(cur_base, sz2pin, (perm & VHOST_ACCESS_WO) != 0, pa_page_list,
                                b"vhost_vdpa_pa_map:pin")
        if pinned != sz2pin:
            if pinned < 0:
                ret = pinned
            else:
                # ad89653f79f1: what was pinned stayed so
                if not leak:
                    unpin_user_pages(pa_page_list, pinned, b"vhost_vdpa_pa_map:unpin_short")
                ret = -ENOMEM
            break
        nchunks += 1
        if last_pfn == 0:
            map_pfn = pfn_of(pa_page_list[0])
        for i in range(pinned):
            this_pfn = pfn_of(pa_page_list[i])
            if last_pfn and this_pfn != last_pfn + 1:
                step(b"vhost_vdpa_pa_map:run")
                csize = (last_pfn - map_pfn + 1) << PAGE_SHIFT
                ret = vhost_vdpa_map(a, iova, csize, map_pfn << PAGE_SHIFT, perm, 0)
                if ret:
                    if not leak:
                        unpin_user_pages(&pa_page_list[i], pinned - i,
                                         b"vhost_vdpa_pa_map:unpin_rest")
                    break
                map_pfn = this_pfn
                iova += csize
                # upstream forgets here that this page begins an outstanding run
                nchunks = 0
            last_pfn = this_pfn
        if ret:
            break
        cur_base += <uint64_t>pinned << PAGE_SHIFT
        npages -= pinned
    else:
        ret = vhost_vdpa_map(a, iova, (last_pfn - map_pfn + 1) << PAGE_SHIFT,
                             map_pfn << PAGE_SHIFT, perm, 0)
    if ret:
        if nchunks and not leak:
            unpin_outstanding(map_pfn, last_pfn)
        vhost_vdpa_unmap(a, start, size)
        # 5.7: gave back what the loop had not come to, and returned the number of pages
        if quirk(QUIRK_A33):
            mm.pinned_vm -= <int64_t>npages
        if swallow and pinned > 0:
            return pinned
    return ret


cdef int vhost_vdpa_pa_map(int a, uint64_t iova, uint64_t size, uint64_t uaddr,
                           uint32_t perm) noexcept nogil:
    """Pin the pages of [uaddr, uaddr + size) and map them at iova, a mapping for each run that is
    physically contiguous. The offset in the page is iova's; uaddr's is lost."""
    cdef uint64_t offset, npages
    cdef int ret, page_list
    page_list = kmalloc(b"page list", O_CALL, b"vhost_vdpa_pa_map:page_list")
    if page_list == 0:
        return -ENOMEM
    offset = iova & PAGE_MASK_LOW
    ret = -EINVAL
    if size <= U64_MAX - offset:
        npages = (size + offset + PAGE_MASK_LOW) >> PAGE_SHIFT
        # 0619aaa34c0c: in the native word, which may have 32 bits
        if quirk(QUIRK_A27):
            npages = <uint32_t>(<uint32_t>(size + offset) + PAGE_MASK_LOW) >> PAGE_SHIFT
        if npages == 0:
            # 5.7 forgot the page list
            if quirk(QUIRK_A31):
                return -EINVAL
        elif npages + <uint64_t>mm.pinned_vm > mm.rlimit:
            ret = -ENOMEM
        else:
            if quirk(QUIRK_A33):
                mm.pinned_vm += <int64_t>npages
            ret = pa_map_pages(a, iova, size, uaddr, perm, npages)
    kfree(page_list, b"vhost_vdpa_pa_map:free")
    return ret


# ---- messages ----

cdef int vhost_vdpa_process_iotlb_update(int a, const VhostIotlbMsg* msg) noexcept nogil:
    """-EINVAL for a range that is empty, wraps or lies outside the device's; -EEXIST."""
    cdef uint64_t last = msg.iova + msg.size - 1
    if msg.size == 0 and not quirk(QUIRK_A41):
        return -EINVAL      # uncovered: vhost_chr_write_iter() has looked
    # 0e398290cff9: wrapped ranges passed
    if msg.iova > U64_MAX - msg.size + 1 and not quirk(QUIRK_A28):
        return -EINVAL
    # "report iova range": there was none to keep to
    if (msg.iova < v.first or last > v.last) and not quirk(QUIRK_A29):
        return -EINVAL
    if vhost_iotlb_itree_first(&A_as[a].iotlb, msg.iova, last):
        return -EEXIST
    if vdpa.use_va:
        return vhost_vdpa_va_map(a, msg.iova, msg.size, msg.uaddr, msg.perm)
    return vhost_vdpa_pa_map(a, msg.iova, msg.size, msg.uaddr, msg.perm)


cdef int process_iotlb_msg_locked(uint32_t asid, const VhostIotlbMsg* msg) noexcept nogil:
    cdef int a, r = 0
    if v.mm != mm.who + 1:
        return -EPERM
    if msg.type == VHOST_IOTLB_UPDATE or msg.type == VHOST_IOTLB_BATCH_BEGIN:
        a = vhost_vdpa_find_alloc_as(asid)
    else:
        a = asid_to_as(asid)
    # RFC of the series: the end of a batch took the table as it was, or was not
    if quirk(QUIRK_A02) and msg.type == VHOST_IOTLB_BATCH_END and v.in_batch:
        if unlikely(a == 0):
            violation(CHECK_V16, b"vhost_vdpa_process_iotlb_msg:batch_end", b"address space", asid,
                      b"the batch of address space %lld ends, which was freed", asid, 0, 0)
    if a == 0 or (v.in_batch and v.batch_asid != asid):
        return -EINVAL
    if msg.type == VHOST_IOTLB_UPDATE:
        r = vhost_vdpa_process_iotlb_update(a, msg)
    elif msg.type == VHOST_IOTLB_INVALIDATE:
        vhost_vdpa_unmap(a, msg.iova, msg.size)
    elif msg.type == VHOST_IOTLB_BATCH_BEGIN:
        v.batch_asid = asid
        v.in_batch = True
    elif msg.type == VHOST_IOTLB_BATCH_END:
        if v.in_batch and vdpa.has_set_map:
            ops_set_map(asid, &A_as[a].iotlb)
        v.in_batch = False
        # c82729e06644: an empty address space was removed
        if quirk(QUIRK_A16) and A_as[a].iotlb.nmaps == 0:
            # uncovered: A16 is seen at once, and its program in the corpus has the other place
            vhost_vdpa_remove_as(asid)
    else:
        r = -EINVAL
    return r


cdef int vhost_vdpa_process_iotlb_msg(uint32_t asid, const VhostIotlbMsg* msg) noexcept nogil:
    """The handler: 0 or -errno, which the writer never sees."""
    cdef int r
    # a9d064524fc3: messages did not take the mutex
    if quirk(QUIRK_A35):
        return process_iotlb_msg_locked(asid, msg)
    lock(L_DEV, b"vhost_vdpa_process_iotlb_msg:lock")
    r = process_iotlb_msg_locked(asid, msg)
    # reported by a static checker before aaca8373c4b1: two returns with the mutex held
    if quirk(QUIRK_A07) and r == -EINVAL and (asid_to_as(asid) == 0
                                              or (v.in_batch and v.batch_asid != asid)):
        return r
    unlock(L_DEV, b"vhost_vdpa_process_iotlb_msg:unlock")
    return r


cdef int vhost_chr_write_iter(uint32_t length, uint32_t format, uint32_t asid,
                              const VhostIotlbMsg* msg) noexcept nogil:
    """write(2) of `length` bytes that begin as a message of this format would: 72 or -errno.

    asid is the word at offset 4, read only from a v2 message when IOTLB_ASID was acknowledged.
    """
    cdef int r
    if length < 4:
        return -EINVAL
    if format == VHOST_IOTLB_MSG:
        asid = 0
    elif format == VHOST_IOTLB_MSG_V2:
        if not (v_vqs[0].acked_backend_features & (<uint64_t>1 << VHOST_BACKEND_F_IOTLB_ASID)):
            asid = 0
        elif length < 8:
            return -EINVAL
    else:
        return -EINVAL
    if length < 8 + SIZEOF_IOTLB_MSG:
        return -EINVAL
    if msg.size == 0:
        if msg.type == VHOST_IOTLB_UPDATE and not quirk(QUIRK_A41):
            return -EINVAL
        # ca50ec377c2e: everything is named by size 0
        if msg.type == VHOST_IOTLB_INVALIDATE and quirk(QUIRK_A43):
            return -EINVAL
        # 95932ab2ea07: a batch has no size
        if msg.type >= VHOST_IOTLB_BATCH_BEGIN and quirk(QUIRK_A42):
            return -EINVAL
    # the first posting had a field of 16 bits
    if quirk(QUIRK_A03):
        asid &= 0xffff
    r = vhost_vdpa_process_iotlb_msg(asid, msg)
    judge_handler(r)
    return -EFAULT if r else SIZEOF_VHOST_MSG
