# SPDX-License-Identifier: GPL-2.0-or-later
"""The vdpa core: struct vdpa_device, and the parent's config ops behind one name each.

include/linux/vdpa.h and drivers/vdpa/vdpa.c (6.1.192, 6.12.117). Which ops a parent has is in
`vdpa` (has_*); calling one that it does not have is V48: upstream that is a call of NULL.
"""


cdef void null_op(site_t site) noexcept nogil:
    violation(CHECK_V48, site, b"parent", vdpa.parent, b"parent %lld has no such operation",
              vdpa.parent, 0, 0)


cdef int ops_set_map(uint32_t asid, Iotlb* iotlb) noexcept nogil:
    """config->set_map(): 0 or -errno. A fault site (map)."""
    cdef int r
    if unlikely(not vdpa.has_set_map):
        null_op(b"ops_set_map:null")
    if fault(FAULT_MAP, b"ops_set_map:fault"):
        r = -ENOMEM
    elif vdpa.parent == PARENT_VDUSE:
        r = vduse_vdpa_set_map(asid, iotlb)
    else:
        r = vdpasim_set_map(asid, iotlb)
    judge_push(asid, r)
    return r


cdef int ops_dma_map(uint32_t asid, uint64_t iova, uint64_t size, uint64_t pa, uint32_t perm,
                     int opaque) noexcept nogil:
    """config->dma_map(): 0 or -errno. A fault site (map)."""
    if unlikely(not vdpa.has_dma_map):
        null_op(b"ops_dma_map:null")
    if fault(FAULT_MAP, b"ops_dma_map:fault"):
        return -ENOMEM
    return vdpasim_dma_map(asid, iova, size, pa, perm, opaque)


cdef int ops_dma_unmap(uint32_t asid, uint64_t iova, uint64_t size) noexcept nogil:
    if unlikely(not vdpa.has_dma_map):
        null_op(b"ops_dma_unmap:null")
    judge_dma_unmap(asid, iova, iova + size - 1)
    return vdpasim_dma_unmap(asid, iova, size)


cdef void ops_reset_map(uint32_t asid) noexcept nogil:
    vdpasim_reset_map(asid)
    judge_reset_map(asid)


cdef inline Iotlb* parent_table(uint32_t asid) noexcept nogil:
    """What the device translates by in this address space."""
    if vdpa.parent == PARENT_IOMMU:
        return &iommu_domain
    return &vdpasim_iommu[asid]


# ---- status and features ----

cdef int vdpa_reset(uint32_t flags) noexcept nogil:
    """vdpa_reset(): the parent forgets rings, status and features; flags: VDPA_RESET_F_*."""
    cdef int r = 0
    vdpa.features_valid = False
    callbacks_finish()
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa_reset()
    elif vdpa.parent == PARENT_VDUSE:
        r = vduse_vdpa_reset(&V_devs[0])
    else:
        vdpasim_reset(flags)
    judge_reset()
    return r


cdef uint8_t ops_get_status() noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        return vp_vdpa.status
    if vdpa.parent == PARENT_VDUSE:
        return V_devs[0].status
    return vdpasim_get_status()


cdef void vdpa_set_status(uint8_t status) noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa_set_status(status)
    elif vdpa.parent == PARENT_VDUSE:
        vduse_vdpa_set_status(&V_devs[0], status)
    else:
        vdpasim_set_status(status)


cdef int vdpa_set_features(uint64_t features) noexcept nogil:
    vdpa.features_valid = True
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa.features = features
        return 0
    if vdpa.parent == PARENT_VDUSE:
        V_devs[0].driver_features = features
        return 0
    return vdpasim_set_driver_features(features)


cdef uint64_t ops_get_driver_features() noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        return vp_vdpa.features
    if vdpa.parent == PARENT_VDUSE:
        return V_devs[0].driver_features
    return vdpasim.features


cdef int ops_suspend() noexcept nogil:
    if unlikely(not vdpa.has_suspend):
        null_op(b"ops_suspend:null")
    judge_suspend(b"judge_suspend:stopped")
    return vdpasim_suspend()


cdef int ops_resume() noexcept nogil:
    if unlikely(not vdpa.has_resume):
        null_op(b"ops_resume:null")
    judge_suspend(b"judge_suspend:resumed")
    return vdpasim_resume()


# ---- configuration ----

cdef void vdpa_get_config(uint32_t offset, uint8_t* buf, uint32_t length) noexcept nogil:
    """A driver that reads before it set features is a legacy one."""
    cdef uint8_t[CONFIG_MAX] known
    if not vdpa.features_valid:
        vdpa_set_features(0)
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa_get_config(offset, buf, length)
    elif vdpa.parent == PARENT_VDUSE:
        vduse_vdpa_get_config(&V_devs[0], offset, buf, known, min(length, <uint32_t>CONFIG_MAX))
    else:
        vdpasim_get_config(offset, buf, length)


cdef void vdpa_set_config(uint32_t offset, const uint8_t* buf, uint32_t length) noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa_set_config(offset, buf, length)
    elif vdpa.parent == PARENT_VDUSE:
        # the daemon's configuration is for reading
        return
    else:
        vdpasim_set_config(offset, buf, length)


cdef void ops_set_config_cb() noexcept nogil:
    """The simulator has no configuration interrupt."""
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa.config_cb = True
    elif vdpa.parent == PARENT_VDUSE:
        V_devs[0].config_cb = True


cdef bint ops_config_cb() noexcept nogil:
    """Can the parent call the configuration callback now?"""
    if vdpa.parent == PARENT_VDUSE:
        return V_devs[0].config_cb and V_devs[0].status & VIRTIO_CONFIG_S_DRIVER_OK
    return vdpa.parent == PARENT_IOMMU and vp_vdpa.config_cb and vp_vdpa.config_irq


# ---- queues ----

cdef void ops_set_vq_address(uint32_t q, uint64_t desc, uint64_t driver,
                             uint64_t device) noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa.vring[q].desc = desc
        vp_vdpa.vring[q].driver = driver
        vp_vdpa.vring[q].device = device
    elif vdpa.parent == PARENT_VDUSE:
        vduse_vdpa_set_vq_address(q, desc, driver, device)
    else:
        vdpasim_set_vq_address(q, desc, driver, device)


cdef void ops_set_vq_num(uint32_t q, uint32_t num) noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa.vring[q].size = num
    elif vdpa.parent == PARENT_VDUSE:
        V_devs[0].vqs[q].num = num
    else:
        vdpasim_set_vq_num(q, num)


cdef uint32_t ops_get_vq_size(uint32_t q) noexcept nogil:
    if unlikely(not vdpa.has_vq_size):
        null_op(b"ops_get_vq_size:null")
    if vdpa.parent == PARENT_IOMMU:
        return vp_vdpa.vring[q].size
    if vdpa.parent == PARENT_VDUSE:
        return vduse_vdpa_get_vq_size(q)
    return vdpasim_get_vq_size(q)


cdef void ops_set_vq_ready(uint32_t q, bint ready) noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa.vring[q].enable = ready
    elif vdpa.parent == PARENT_VDUSE:
        V_devs[0].vqs[q].ready = ready
    else:
        vdpasim_set_vq_ready(q, ready)


cdef int ops_set_vq_state(uint32_t q, const VqState* state) noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        return vp_vdpa_set_vq_state(q, state)
    if vdpa.parent == PARENT_VDUSE:
        return vduse_vdpa_set_vq_state(q, state)
    return vdpasim_set_vq_state(q, state)


cdef int ops_get_vq_state(uint32_t q, VqState* state) noexcept nogil:
    """-EOPNOTSUPP: virtio-pci has no way to ask."""
    if vdpa.parent == PARENT_IOMMU:
        return -EOPNOTSUPP
    if vdpa.parent == PARENT_VDUSE:
        return vduse_vdpa_get_vq_state(q, state)
    return vdpasim_get_vq_state(q, state)


cdef void ops_set_vq_cb(uint32_t q, bint set) noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa.vring[q].cb = set
    elif vdpa.parent == PARENT_VDUSE:
        vduse_vdpa_set_vq_cb(q, set)
    else:
        vdpasim_set_vq_cb(q, set)


cdef bint ops_vq_cb(uint32_t q) noexcept nogil:
    """Can the parent call the callback of queue q now?"""
    if vdpa.parent == PARENT_IOMMU:
        return vp_vdpa.vring[q].cb and vp_vdpa.vring[q].irq != 0
    if vdpa.parent == PARENT_VDUSE:
        return vduse_vq_cb(q)
    return sim_vqs[q].cb and vdpasim.running and sim_vqs[q].ready


cdef void ops_kick_vq(uint32_t q) noexcept nogil:
    if vdpa.parent == PARENT_IOMMU:
        vp_vdpa.vring[q].kicks += 1
    elif vdpa.parent == PARENT_VDUSE:
        vduse_vq_kick(q)
    else:
        vdpasim_kick_vq(q)


cdef int ops_get_vq_irq(uint32_t q) noexcept nogil:
    return vp_vdpa_get_vq_irq(q)


cdef void ops_get_vq_notification(uint32_t q, site_t site) noexcept nogil:
    """The doorbell of queue q. V25: there is such a queue."""
    if unlikely(q >= vdpa.nvqs):
        violation(CHECK_V25, site, b"queue", q, b"the doorbell of queue %lld is asked for, of %lld",
                  q, vdpa.nvqs, 0)


cdef uint32_t ops_get_vq_group(uint32_t q) noexcept nogil:
    if unlikely(not vdpa.has_groups):
        null_op(b"ops_get_vq_group:null")
    return vdpa.group_of[q]


cdef int ops_set_group_asid(uint32_t group, uint32_t asid) noexcept nogil:
    if unlikely(not vdpa.has_groups):
        null_op(b"ops_set_group_asid:null")
    if vdpa.parent == PARENT_VDUSE:
        return vduse_set_group_asid(&V_devs[0], group, asid)
    return vdpasim_set_group_asid(group, asid)


# ---- boot ----

cdef uint32_t entries_of(uint32_t choice) noexcept nogil:
    """The module parameter that boot option `entries` or `sim_entries` means."""
    if choice == BOOT_ENTRIES_MANY:
        return IOTLB_ENTRIES
    if choice == BOOT_ENTRIES_EIGHT:
        return 8
    return <uint32_t>BOOT_ENTRIES_ZERO - choice


cdef uint64_t features_of(uint32_t bits) noexcept nogil:
    """The features that boot option `features` means, or `bits` of set_features."""
    cdef uint64_t features = 0
    if bits & BOOT_FEATURES_MTU:
        features |= bit(VIRTIO_NET_F_MTU)
    if bits & BOOT_FEATURES_MAC:
        features |= bit(VIRTIO_NET_F_MAC)
    if bits & BOOT_FEATURES_STATUS:
        features |= bit(VIRTIO_NET_F_STATUS)
    if bits & BOOT_FEATURES_CTRL_VQ:
        features |= bit(VIRTIO_NET_F_CTRL_VQ)
    if bits & BOOT_FEATURES_CTRL_MAC_ADDR:
        features |= bit(VIRTIO_NET_F_CTRL_MAC_ADDR)
    if bits & BOOT_FEATURES_INDIRECT_DESC:
        features |= bit(VIRTIO_RING_F_INDIRECT_DESC)
    if bits & BOOT_FEATURES_EVENT_IDX:
        features |= bit(VIRTIO_RING_F_EVENT_IDX)
    if bits & BOOT_FEATURES_VERSION_1:
        features |= bit(VIRTIO_F_VERSION_1)
    if bits & BOOT_FEATURES_ACCESS_PLATFORM:
        features |= bit(VIRTIO_F_ACCESS_PLATFORM)
    if bits & BOOT_FEATURES_RING_PACKED:
        features |= bit(VIRTIO_F_RING_PACKED)
    return features


cdef int vdpa_create() noexcept nogil:
    """The parent makes its device: 0, -EINVAL."""
    memset(&vdpa, 0, sizeof(vdpa))
    vdpa.parent = <int>P.boot[BOOT_PARENT]
    vdpa.device_id = VIRTIO_ID_NET
    vdpa.config_size = NET_CONFIG_SIZE
    vdpa.vq_num_max = QUEUE_NUM_MAX
    vdpa.has_resume_ioctl = era_6_12()
    vdpa.has_desc_group_ioctl = era_6_12()
    vdpa.has_vring_size_ioctl = era_6_12()
    vdpa.ngroups = P.boot[BOOT_NGROUPS]
    vdpa.nas = P.boot[BOOT_NAS]
    vdpa.nvqs = NVQS_MAX
    vdpa.first = 0
    vdpa.last = U64_MAX
    if P.boot[BOOT_RANGE] == BOOT_RANGE_WINDOW:
        vdpa.first = 0x1000
        vdpa.last = 0xffff
    elif P.boot[BOOT_RANGE] == BOOT_RANGE_NO_ZERO:
        vdpa.first = 0x1000
    if vdpa.parent == PARENT_IOMMU:
        return vp_vdpa_create()
    if vdpa.parent == PARENT_VDUSE:
        return vduse_create()
    return vdpasim_create()


cdef void vdpa_free() noexcept nogil:
    """The device's last reference is gone."""
    if vdpa.parent == PARENT_VDUSE:
        vduse_free()
    elif vdpa.parent != PARENT_IOMMU:
        vdpasim_free()
    vdpa.exists = False
    judge_removed()
