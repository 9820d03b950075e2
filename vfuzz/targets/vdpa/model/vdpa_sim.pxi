# SPDX-License-Identifier: GPL-2.0-or-later
"""The simulator's tables and status: drivers/vdpa/vdpa_sim/vdpa_sim.c (6.1.192, 6.12.117).

From 6.3 on each table begins as the identity map of everything, until the first mapping of its
address space; a clean reset and reset_map bring that back.
"""


cdef inline void vdpasim_identity(uint32_t asid) noexcept nogil:
    vhost_iotlb_add_range_ctx(&vdpasim_iommu[asid], 0, U64_MAX, 0, VHOST_ACCESS_RW, 0)
    vdpasim.iommu_pt[asid] = True


cdef int vdpasim_create() noexcept nogil:
    """vdpasim_create(): 0, -EINVAL."""
    cdef uint32_t i
    vdpasim.limit = entries_of(P.boot[BOOT_SIM_ENTRIES])
    if vdpasim.limit < 2:
        return -EINVAL
    vdpa.has_set_map = vdpa.parent == PARENT_SIM
    vdpa.has_dma_map = vdpa.parent == PARENT_SIM_DMA
    vdpa.has_groups = True
    vdpa.has_suspend = True
    vdpa.has_iova_range = True
    if era_6_12():
        vdpa.has_reset_map = True
        vdpa.has_resume = True
        # 6.4: the parameter use_va
        vdpa.use_va = P.boot[BOOT_USE_VA] != 0
        vdpa.has_bind_mm = True
        vdpa.backend_features = 1 << VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK
    for i in range(vdpa.nas):
        # nobody else knows the tables yet
        vhost_iotlb_init(&vdpasim_iommu[i], vdpasim.limit, 0, L_NONE)
        if era_6_12():
            vdpasim_identity(i)
        vdpasim_iommu[i].lock = L_IOMMU
    return 0


cdef void vdpasim_free() noexcept nogil:
    """vdpasim_free(): all tables are emptied."""
    cdef uint32_t i
    for i in range(vdpa.nas):
        vdpasim_iommu[i].lock = L_NONE
        vhost_iotlb_reset(&vdpasim_iommu[i])
        # 0b7a04a30eef: the other tables were forgotten
        if quirk(QUIRK_A52):
            break


cdef void vdpasim_do_reset(uint32_t flags) noexcept nogil:
    cdef uint32_t i
    lock(L_IOMMU, b"vdpasim_do_reset:lock")
    if not era_6_12():
        for i in range(vdpa.nas):
            vhost_iotlb_reset(&vdpasim_iommu[i])
    elif flags & VDPA_RESET_F_CLEAN_MAP or quirk(QUIRK_A18):
        # bc91df5c70ac: mappings that were to persist were dropped
        for i in range(vdpa.nas):
            vhost_iotlb_reset(&vdpasim_iommu[i])
            vdpasim_identity(i)
    # 9588e7fc511f: a device that was reset used to run
    vdpasim.running = False
    unlock(L_IOMMU, b"vdpasim_do_reset:unlock")
    vdpasim.features = 0
    vdpasim.status = 0
    vdpasim.generation += 1


cdef void vdpasim_reset(uint32_t flags) noexcept nogil:
    """vdpasim_reset() (6.1), vdpasim_compat_reset()."""
    lock(L_SIM, b"vdpasim_reset:lock")
    vdpasim.status = 0
    vdpasim_do_reset(flags)
    unlock(L_SIM, b"vdpasim_reset:unlock")


cdef uint8_t vdpasim_get_status() noexcept nogil:
    return vdpasim.status


cdef void vdpasim_set_status(uint8_t status) noexcept nogil:
    lock(L_SIM, b"vdpasim_set_status:lock")
    vdpasim.status = status
    vdpasim.running = (status & VIRTIO_CONFIG_S_DRIVER_OK) != 0
    unlock(L_SIM, b"vdpasim_set_status:unlock")


cdef int vdpasim_set_map(uint32_t asid, const Iotlb* iotlb) noexcept nogil:
    """vdpasim_set_map(): the table becomes a copy, or empty with the first error."""
    cdef Iotlb* iommu
    cdef const Map* p
    cdef int i, ret = 0
    if asid >= vdpa.nas:
        return -EINVAL
    # 0ea9ee430e74: without the lock
    if not quirk(QUIRK_A58):
        lock(L_IOMMU, b"vdpasim_set_map:lock")
    iommu = &vdpasim_iommu[asid]
    vhost_iotlb_reset(iommu)
    vdpasim.iommu_pt[asid] = False
    lockdep_assert_held(iotlb.lock, b"vdpasim_set_map:source")
    # a thousand runs that are pushed one by one are half a million copies: not worth a verdict
    vdpasim.copies += iotlb.n
    if unlikely(vdpasim.copies > COPIES_MAX):
        give_up()
    for i in range(iotlb.n):
        p = &I_maps[iotlb.tree[i]]
        ret = vhost_iotlb_add_range_ctx(iommu, p.start, p.last, p.addr, p.perm, 0)
        if ret:
            vhost_iotlb_reset(iommu)
            break
    if not quirk(QUIRK_A58):
        unlock(L_IOMMU, b"vdpasim_set_map:unlock")
    return ret


cdef inline void vdpasim_leave_identity(uint32_t asid) noexcept nogil:
    if vdpasim.iommu_pt[asid]:
        vhost_iotlb_reset(&vdpasim_iommu[asid])
        vdpasim.iommu_pt[asid] = False


cdef int vdpasim_dma_map(uint32_t asid, uint64_t iova, uint64_t size, uint64_t pa, uint32_t perm,
                         int opaque) noexcept nogil:
    cdef int ret
    if asid >= vdpa.nas:
        return -EINVAL
    # 0ea9ee430e74: without the lock
    if not quirk(QUIRK_A58):
        lock(L_IOMMU, b"vdpasim_dma_map:lock")
    vdpasim_leave_identity(asid)
    ret = vhost_iotlb_add_range_ctx(&vdpasim_iommu[asid], iova, iova + size - 1, pa, perm, opaque)
    if not quirk(QUIRK_A58):
        unlock(L_IOMMU, b"vdpasim_dma_map:unlock")
    return ret


cdef int vdpasim_dma_unmap(uint32_t asid, uint64_t iova, uint64_t size) noexcept nogil:
    if asid >= vdpa.nas:
        return -EINVAL
    lock(L_IOMMU, b"vdpasim_dma_unmap:lock")
    vdpasim_leave_identity(asid)
    vhost_iotlb_del_range(&vdpasim_iommu[asid], iova, iova + size - 1)
    unlock(L_IOMMU, b"vdpasim_dma_unmap:unlock")
    return 0


cdef int vdpasim_reset_map(uint32_t asid) noexcept nogil:
    if asid >= vdpa.nas:
        return -EINVAL
    lock(L_IOMMU, b"vdpasim_reset_map:lock")
    if not vdpasim.iommu_pt[asid]:
        vhost_iotlb_reset(&vdpasim_iommu[asid])
        vdpasim_identity(asid)
    unlock(L_IOMMU, b"vdpasim_reset_map:unlock")
    return 0
