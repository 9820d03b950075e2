# SPDX-License-Identifier: GPL-2.0-or-later
"""The simulator's tables, status and queues: drivers/vdpa/vdpa_sim/vdpa_sim.c (6.1.192, 6.12.117).

From 6.3 on each table begins as the identity map of everything, until the first mapping of its
address space; a clean reset and reset_map bring that back.
"""


cdef inline void vdpasim_identity(uint32_t asid) noexcept nogil:
    vhost_iotlb_add_range_ctx(&vdpasim_iommu[asid], 0, U64_MAX, 0, VHOST_ACCESS_RW, 0)
    vdpasim.iommu_pt[asid] = True


cdef int vdpasim_create() noexcept nogil:
    """vdpasim_create(): 0, -EINVAL."""
    cdef uint32_t i
    cdef uint64_t features
    memset(&vdpasim, 0, sizeof(vdpasim))
    vdpasim.limit = entries_of(P.boot[BOOT_SIM_ENTRIES])
    if vdpasim.limit < 2:
        return -EINVAL
    vdpa.has_set_map = vdpa.parent == PARENT_SIM
    vdpa.has_dma_map = vdpa.parent == PARENT_SIM_DMA
    vdpa.has_groups = True
    vdpa.has_suspend = True
    vdpa.has_iova_range = True
    vdpa.has_vq_state = True
    vdpa.device_features = (bit(VIRTIO_F_ANY_LAYOUT) | bit(VIRTIO_F_VERSION_1)
                            | bit(VIRTIO_F_ACCESS_PLATFORM))
    if P.boot[BOOT_DEVICE] != BOOT_DEVICE_NET:
        vdpasim_blk_attributes()
    else:
        vdpasim_net_attributes()
    features = features_of(P.boot[BOOT_FEATURES]) & vdpa.device_features
    # no features asked for: all
    if features:
        vdpa.device_features = features
    if era_6_12():
        vdpa.has_reset_map = True
        vdpa.has_resume = True
        # only the operations without batch mapping have it
        vdpa.has_vq_size = vdpa.has_dma_map
        # 6.4: the parameter use_va
        vdpa.use_va = P.boot[BOOT_USE_VA] != 0
        vdpa.has_bind_mm = True
        vdpa.backend_features = 1 << VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK
    for i in range(NVQS_MAX):
        vdpasim_vq_init(i)
    vdpasim_net_create()
    if vdpa.device_id == VIRTIO_ID_BLOCK and vdpasim_blk_create():
        return -ENOMEM
    for i in range(vdpa.nas):
        # nobody else knows the tables yet
        # 67f8f10c0bd7: without a limit
        vhost_iotlb_init(&vdpasim_iommu[i], IOTLB_NO_LIMIT if quirk(QUIRK_A63) else vdpasim.limit,
                         0, L_NONE)
        if era_6_12():
            vdpasim_identity(i)
        vdpasim_iommu[i].lock = L_IOMMU
    return 0


cdef void vdpasim_free() noexcept nogil:
    """vdpasim_free(): pending work is cancelled, vectors are freed, all tables are emptied."""
    cdef uint32_t i
    sim_net.work_pending = False
    # "vdpa_sim: cleanup kiovs in vdpasim_free()"
    if not quirk(QUIRK_A62):
        for i in range(vdpa.nvqs):
            vringh_kiov_cleanup(&sim_vqs[i].out_iov)
            vringh_kiov_cleanup(&sim_vqs[i].in_iov)
    if vdpa.device_id == VIRTIO_ID_BLOCK:
        vdpasim_blk_free()
    for i in range(vdpa.nas):
        vdpasim_iommu[i].lock = L_NONE
        vhost_iotlb_reset(&vdpasim_iommu[i])
        # 0b7a04a30eef: the other tables were forgotten
        if quirk(QUIRK_A52):
            break


cdef void vdpasim_vq_init(uint32_t q) noexcept nogil:
    """kcalloc() of a queue; its vectors' storage needs no clearing."""
    cdef VdpasimVirtqueue* vq = &sim_vqs[q]
    memset(&vq.vring, 0, sizeof(Vringh))
    vringh_set_iotlb(&vq.vring, 0, L_IOMMU)
    vq.head = 0
    vq.ready = False
    vq.cb = False
    vq.desc_addr = 0
    vq.driver_addr = 0
    vq.device_addr = 0
    vq.num = 0
    vringh_kiov_init(&vq.in_iov)
    vringh_kiov_init(&vq.out_iov)


cdef void vdpasim_vq_reset(uint32_t q) noexcept nogil:
    """The queue's number stays."""
    cdef VdpasimVirtqueue* vq = &sim_vqs[q]
    vq.ready = False
    vq.desc_addr = 0
    vq.driver_addr = 0
    vq.device_addr = 0
    vq.cb = False
    vringh_init_iotlb(&vq.vring, QUEUE_NUM_MAX, 0, 0, 0, False)
    vringh_set_iotlb(&vq.vring, 0, L_IOMMU)


cdef void vdpasim_do_reset(uint32_t flags) noexcept nogil:
    cdef uint32_t i
    lock(L_IOMMU, b"vdpasim_do_reset:lock")
    for i in range(vdpa.nvqs):
        vdpasim_vq_reset(i)
    if not era_6_12():
        for i in range(vdpa.nas):
            vhost_iotlb_reset(&vdpasim_iommu[i])
    elif flags & VDPA_RESET_F_CLEAN_MAP or quirk(QUIRK_A18):
        # bc91df5c70ac: mappings that were to persist were dropped
        for i in range(vdpa.nas):
            vhost_iotlb_reset(&vdpasim_iommu[i])
            vdpasim_identity(i)
    # 9588e7fc511f: a device that was reset used to run
    # 9588e7fc511f: a device that was reset used to run
    vdpasim.running = quirk(QUIRK_A56)
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


cdef int vdpasim_copy_table(uint32_t asid, Iotlb* iotlb) noexcept nogil:
    """The table becomes a copy, or empty with the first error."""
    cdef Iotlb* iommu = &vdpasim_iommu[asid]
    cdef const Map* p
    cdef int i, ret, kept = iotlb_copy_begin(iommu, iotlb)
    vdpasim.iommu_pt[asid] = False
    lockdep_assert_held(iotlb.lock, b"vdpasim_set_map:source")
    # a thousand runs that are pushed one by one, each copied: not worth a verdict
    vdpasim.copies += iotlb.n - kept
    if unlikely(vdpasim.copies > COPIES_MAX):
        give_up()
    for i in range(kept, iotlb.n):
        p = &I_maps[iotlb.tree[i]]
        ret = vhost_iotlb_add_range_ctx(iommu, p.start, p.last, p.addr, p.perm, 0)
        if ret:
            vhost_iotlb_reset(iommu)
            return ret
    iotlb_copy_end(iommu, iotlb)
    return 0


cdef int vdpasim_set_map(uint32_t asid, Iotlb* iotlb) noexcept nogil:
    """vdpasim_set_map(): 0 or -errno. Four quirks are mlx5's, whose table of the control queue is
    apart from that of the data queues."""
    cdef uint32_t ctrl = <uint32_t>sim_vqs[VQ_CTRL].vring.iotlb
    cdef int ret = 0
    if asid >= vdpa.nas:
        return -EINVAL      # uncovered: no space has such an id
    # 9ee811009ad8: that one table is set was taken for both
    if quirk(QUIRK_B08):
        if vdpasim.initialized and vdpasim.initialized != asid + 1:
            return 0
        vdpasim.initialized = asid + 1
    # 0ea9ee430e74: without the lock
    if not quirk(QUIRK_A58):
        lock(L_IOMMU, b"vdpasim_set_map:lock")
    # 08dbd5660232: an empty table is an order to destroy it, queues or not
    if quirk(QUIRK_B06):
        vdpasim.gone[asid] = iotlb.n == 0
    vdpasim_rebind()
    ret = vdpasim_copy_table(asid, iotlb)
    # 38fc462f57ef, ad03a0f44cdb: a data table changed the control queue's too
    if ret == 0 and ctrl != asid and quirk(QUIRK_B05):
        ret = vdpasim_copy_table(ctrl, iotlb)
    elif ctrl != asid and quirk(QUIRK_B07):
        vhost_iotlb_reset(&vdpasim_iommu[ctrl])
    if not quirk(QUIRK_A58):
        unlock(L_IOMMU, b"vdpasim_set_map:unlock")
    return ret


cdef void vdpasim_rebind() noexcept nogil:
    """5dc31bd245a4 (mlx5): a mapping makes noted rebinds take effect."""
    cdef uint32_t i
    for i in range(vdpa.nvqs):
        if vdpasim.rebind[i]:
            vringh_set_iotlb(&sim_vqs[i].vring, vdpasim.rebind[i] - 1, L_IOMMU)
            vdpasim.rebind[i] = 0


cdef inline void vdpasim_leave_identity(uint32_t asid) noexcept nogil:
    if vdpasim.iommu_pt[asid]:
        vhost_iotlb_reset(&vdpasim_iommu[asid])
        vdpasim.iommu_pt[asid] = False


cdef int vdpasim_dma_map(uint32_t asid, uint64_t iova, uint64_t size, uint64_t pa, uint32_t perm,
                         int opaque) noexcept nogil:
    cdef int ret
    if asid >= vdpa.nas:
        return -EINVAL      # uncovered: no space has such an id
    # 0ea9ee430e74: without the lock
    if not quirk(QUIRK_A58):
        lock(L_IOMMU, b"vdpasim_dma_map:lock")
    vdpasim_rebind()
    vdpasim_leave_identity(asid)
    ret = vhost_iotlb_add_range_ctx(&vdpasim_iommu[asid], iova, iova + size - 1, pa, perm, opaque)
    if not quirk(QUIRK_A58):
        unlock(L_IOMMU, b"vdpasim_dma_map:unlock")
    return ret


cdef int vdpasim_dma_unmap(uint32_t asid, uint64_t iova, uint64_t size) noexcept nogil:
    if asid >= vdpa.nas:
        return -EINVAL      # uncovered: no space has such an id
    lock(L_IOMMU, b"vdpasim_dma_unmap:lock")
    vdpasim_leave_identity(asid)
    vhost_iotlb_del_range(&vdpasim_iommu[asid], iova, iova + size - 1)
    unlock(L_IOMMU, b"vdpasim_dma_unmap:unlock")
    return 0


cdef int vdpasim_reset_map(uint32_t asid) noexcept nogil:
    if asid >= vdpa.nas:
        return -EINVAL      # uncovered: no space has such an id
    lock(L_IOMMU, b"vdpasim_reset_map:lock")
    if not vdpasim.iommu_pt[asid]:
        vhost_iotlb_reset(&vdpasim_iommu[asid])
        vdpasim_identity(asid)
    unlock(L_IOMMU, b"vdpasim_reset_map:unlock")
    return 0


# ---- features, suspend ----

cdef int vdpasim_set_driver_features(uint64_t features) noexcept nogil:
    """-EINVAL if the driver does not map what it lets the device access."""
    if not (features & bit(VIRTIO_F_ACCESS_PLATFORM)):
        return -EINVAL
    vdpasim.features = features & vdpa.device_features
    return 0


cdef int vdpasim_suspend() noexcept nogil:
    lock(L_SIM, b"vdpasim_suspend:lock")
    vdpasim.running = False
    unlock(L_SIM, b"vdpasim_suspend:unlock")
    return 0


cdef int vdpasim_resume() noexcept nogil:
    """Kicks that came while the device was suspended count now, for all queues."""
    cdef uint32_t i
    lock(L_SIM, b"vdpasim_resume:lock")
    vdpasim.running = True
    if sim_net.pending_kick:
        for i in range(vdpa.nvqs):
            vdpasim_kick_vq(i)
        sim_net.pending_kick = False
    unlock(L_SIM, b"vdpasim_resume:unlock")
    return 0


# ---- configuration ----

cdef void vdpasim_get_config(uint32_t offset, uint8_t* buf, uint32_t length) noexcept nogil:
    """Outside of the configuration nothing is written; offset + length may wrap."""
    if <uint32_t>(offset + length) > vdpa.config_size:
        return
    if unlikely(<uint64_t>offset + length > vdpa.config_size):
        violation(CHECK_V40, b"vdpasim_get_config:outside", b"config", offset,
                  b"%lld bytes at %lld are read of a configuration of %lld", length, offset,
                  vdpa.config_size)
    if vdpa.device_id == VIRTIO_ID_BLOCK:
        vdpasim_blk_get_config()
    else:
        vdpasim_net_get_config()
    memcpy(buf, &vdpasim.config[offset], length)


cdef void vdpasim_set_config(uint32_t offset, const uint8_t* buf, uint32_t length) noexcept nogil:
    if <uint32_t>(offset + length) > vdpa.config_size:
        return      # uncovered: vhost-vdpa has looked, and nobody else writes there
    if unlikely(<uint64_t>offset + length > vdpa.config_size):
        violation(CHECK_V40, b"vdpasim_set_config:outside", b"config", offset,
                  b"%lld bytes at %lld are written of a configuration of %lld", length, offset,
                  vdpa.config_size)
    memcpy(&vdpasim.config[offset], buf, length)


# ---- queues ----

cdef void vdpasim_set_vq_address(uint32_t q, uint64_t desc, uint64_t driver,
                                 uint64_t device) noexcept nogil:
    sim_vqs[q].desc_addr = desc
    sim_vqs[q].driver_addr = driver
    sim_vqs[q].device_addr = device


cdef void vdpasim_set_vq_num(uint32_t q, uint32_t num) noexcept nogil:
    sim_vqs[q].num = num


cdef uint32_t vdpasim_get_vq_size(uint32_t q) noexcept nogil:
    return sim_vqs[q].num if vdpasim.status & VIRTIO_CONFIG_S_DRIVER_OK else QUEUE_NUM_MAX


cdef void vdpasim_queue_ready(uint32_t q, bint anew) noexcept nogil:
    """The ring begins with what was set. An unusable size is overlooked: the ring stays as it is.
    anew: its position is forgotten (quirk A53)."""
    cdef VdpasimVirtqueue* vq = &sim_vqs[q]
    cdef uint16_t last_avail_idx = vq.vring.last_avail_idx
    if unlikely(vq.vring.iotlb >= <int>vdpa.nas):
        violation(CHECK_V15, b"vdpasim_queue_ready:table", b"device table", vq.vring.iotlb,
                  b"a ring begins with table %lld of a device that has %lld", vq.vring.iotlb,
                  vdpa.nas, 0)
    # 794ec498c9fa: with the maximal size and what is on offer
    if quirk(QUIRK_A54):
        vringh_init_iotlb(&vq.vring, QUEUE_NUM_MAX, vq.desc_addr,
                          vq.driver_addr, vq.device_addr, vdpa.use_va and vdpasim.mm_bound)
    else:
        vringh_init_iotlb(&vq.vring, vq.num, vq.desc_addr, vq.driver_addr,
                          vq.device_addr, vdpa.use_va and vdpasim.mm_bound)
    if anew:
        return
    vq.vring.last_avail_idx = last_avail_idx
    # b4cca6d48eb3: the used index began at 0
    vq.vring.last_used_idx = 0 if quirk(QUIRK_A55) else last_avail_idx


cdef void vdpasim_set_vq_ready(uint32_t q, bint ready) noexcept nogil:
    cdef VdpasimVirtqueue* vq = &sim_vqs[q]
    cdef bint old_ready
    lock(L_SIM, b"vdpasim_set_vq_ready:lock")
    old_ready = vq.ready
    vq.ready = ready
    # "vdpasim: allow to enable a vq repeatedly": each time was the first
    if ready and (not old_ready or quirk(QUIRK_A53)):
        vdpasim_queue_ready(q, old_ready)
    unlock(L_SIM, b"vdpasim_set_vq_ready:unlock")


cdef int vdpasim_set_vq_state(uint32_t q, const VqState* state) noexcept nogil:
    lock(L_SIM, b"vdpasim_set_vq_state:lock")
    sim_vqs[q].vring.last_avail_idx = state.avail
    unlock(L_SIM, b"vdpasim_set_vq_state:unlock")
    return 0


cdef int vdpasim_get_vq_state(uint32_t q, VqState* state) noexcept nogil:
    state.avail = sim_vqs[q].vring.last_avail_idx
    return 0


cdef void vdpasim_set_vq_cb(uint32_t q, bint set) noexcept nogil:
    sim_vqs[q].cb = set


cdef inline void vdpasim_schedule_work() noexcept nogil:
    sim_net.work_pending = True


cdef void vdpasim_kick_vq(uint32_t q) noexcept nogil:
    """Work is scheduled, for all queues. 6.3: a kick while suspended is kept for later."""
    ev(b"kick", b"queue", q, sim_vqs[q].ready, 0, b"vdpasim_kick_vq:kick")
    if era_6_12() and not vdpasim.running and vdpasim.status & VIRTIO_CONFIG_S_DRIVER_OK:
        sim_net.pending_kick = True
        return
    if sim_vqs[q].ready:
        vdpasim_schedule_work()


cdef inline void vdpasim_vq_call(uint32_t q) noexcept nogil:
    """vdpasim_vq_notify(): the queue's callback."""
    if sim_vqs[q].cb:
        vhost_vdpa_virtqueue_cb(q)


cdef int vdpasim_set_group_asid(uint32_t group, uint32_t asid) noexcept nogil:
    """The rings of the group translate by the table of that address space."""
    cdef uint32_t i
    # 1f97b9785076, cd025c1e876b: checked here, and each off by one
    if (quirk(QUIRK_A08) and asid > vdpa.nas) or (quirk(QUIRK_A09) and group > vdpa.ngroups):
        return -EINVAL
    lock(L_SIM, b"vdpasim_set_group_asid:lock")
    # bda324fd037a, first version: always the first table
    if quirk(QUIRK_A04):
        asid = 0
    for i in range(vdpa.nvqs):
        if vdpa.group_of[i] == group:
            # 5dc31bd245a4 (mlx5): only noted, until the next mapping
            if quirk(QUIRK_B09):
                vdpasim.rebind[i] = <int>asid + 1
            else:
                vringh_set_iotlb(&sim_vqs[i].vring, <int>asid, L_IOMMU)
    unlock(L_SIM, b"vdpasim_set_group_asid:unlock")
    return 0
