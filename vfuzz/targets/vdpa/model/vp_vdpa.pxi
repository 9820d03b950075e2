# SPDX-License-Identifier: GPL-2.0-or-later
"""vp_vdpa, a parent whose DMA the platform's IOMMU maps, with the virtio-pci device behind it.

drivers/vdpa/virtio_pci/vp_vdpa.c (6.1.192, 6.12.117): one group, one address space, interrupts for
queues and configuration, a doorbell for each queue, no suspend, no position of a ring to get. The
device does what virtio 1.3 says of registers (4.1.4.3) and runs no ring. iommu_map() and
iommu_unmap() work on v.domain's page table, `iommu_domain`; vhost_vdpa_probe() refuses such a
parent with more groups or spaces, which vp_vdpa does not have.
"""


# ---- the device ----

cdef void vp_modern_set_status(uint8_t status) noexcept nogil:
    """The status register; 0 resets the device. FEATURES_OK only for features that are offered."""
    cdef uint32_t i
    if status == 0:
        vp_vdpa.features = 0
        for i in range(vdpa.nvqs):
            vp_vdpa.vring[i].enable = False
            vp_vdpa.vring[i].size = QUEUE_NUM_MAX
            vp_vdpa.vring[i].desc = 0
            vp_vdpa.vring[i].driver = 0
            vp_vdpa.vring[i].device = 0
    elif vp_vdpa.features & ~vdpa.device_features:
        status &= <uint8_t>~VIRTIO_CONFIG_S_FEATURES_OK
    vp_vdpa.status = status


# ---- interrupts ----

cdef void vp_vdpa_free_irq() noexcept nogil:
    cdef uint32_t i
    for i in range(vdpa.nvqs):
        vp_vdpa.vring[i].irq = 0
    vp_vdpa.config_irq = False
    vp_vdpa.vectors = 0


cdef int vp_vdpa_request_irq() noexcept nogil:
    """One vector a queue (6.10: with a callback) and one for the configuration: 0 or -ENOSPC."""
    cdef uint32_t i
    if fault(FAULT_ALLOC, b"vp_vdpa_request_irq:vectors"):
        return -ENOSPC
    vp_vdpa.vectors = 1
    for i in range(vdpa.nvqs):
        if era_6_12() and not vp_vdpa.vring[i].cb:
            continue
        vp_vdpa.vring[i].irq = vp_vdpa.vectors
        vp_vdpa.vectors += 1
    vp_vdpa.config_irq = True
    return 0


cdef int vp_vdpa_get_vq_irq(uint32_t q) noexcept nogil:
    if vp_vdpa.vring[q].irq == 0:
        return -EINVAL
    return vp_vdpa.vring[q].irq


# ---- config ops ----

cdef void vp_vdpa_set_status(uint8_t status) noexcept nogil:
    if status & VIRTIO_CONFIG_S_DRIVER_OK and not (vp_vdpa.status & VIRTIO_CONFIG_S_DRIVER_OK):
        # 6.10: without interrupts the device does not start
        if vp_vdpa_request_irq() and era_6_12():
            return
    vp_modern_set_status(status)


cdef void vp_vdpa_reset() noexcept nogil:
    cdef uint8_t s = vp_vdpa.status
    vp_modern_set_status(0)
    if s & VIRTIO_CONFIG_S_DRIVER_OK:
        vp_vdpa_free_irq()


cdef int vp_vdpa_set_vq_state(uint32_t q, const VqState* state) noexcept nogil:
    """Only the state that a queue begins with: 0 or -EOPNOTSUPP."""
    if not (vp_vdpa.status & VIRTIO_CONFIG_S_FEATURES_OK) or vp_vdpa.vring[q].enable:
        return -EOPNOTSUPP
    if vp_vdpa.features & bit(VIRTIO_F_RING_PACKED):
        if state.avail == 1 and state.used == 1:
            return 0
    elif state.avail == 0:
        return 0
    return -EOPNOTSUPP


cdef void vp_vdpa_get_config(uint32_t offset, uint8_t* buf, uint32_t length) noexcept nogil:
    """V40: inside of the device's configuration, which is a window of its BAR."""
    if unlikely(<uint64_t>offset + length > vdpa.config_size):
        violation(CHECK_V40, b"vp_vdpa_get_config:outside", b"config", offset,
                  b"%lld bytes at %lld are read of a configuration of %lld", length, offset,
                  vdpa.config_size)
    memcpy(buf, &vp_vdpa.config[offset], length)


cdef void vp_vdpa_set_config(uint32_t offset, const uint8_t* buf, uint32_t length) noexcept nogil:
    if unlikely(<uint64_t>offset + length > vdpa.config_size):
        violation(CHECK_V40, b"vp_vdpa_set_config:outside", b"config", offset,
                  b"%lld bytes at %lld are written of a configuration of %lld", length, offset,
                  vdpa.config_size)
    memcpy(&vp_vdpa.config[offset], buf, length)


cdef int vp_vdpa_create() noexcept nogil:
    cdef uint32_t i
    memset(&vp_vdpa, 0, sizeof(vp_vdpa))
    vhost_iotlb_init(&iommu_domain, <uint32_t>TABLE_MAX, 0, L_NONE)
    vdpa.ngroups = 1
    vdpa.nas = 1
    vdpa.has_vq_irq = True
    vdpa.has_config_irq = True
    vdpa.has_doorbell = True
    vdpa.keeps_maps = True
    vdpa.doorbell_size = PAGE_SIZE if P.boot[BOOT_DOORBELL] == BOOT_DOORBELL_PAGE else 4
    vdpa.has_vq_size = era_6_12()
    vdpa.device_features = features_of(P.boot[BOOT_FEATURES])
    for i in range(vdpa.nvqs):
        vp_vdpa.vring[i].size = QUEUE_NUM_MAX
    return 0


# ---- the platform's IOMMU ----

cdef int iommu_domain_alloc(site_t site) noexcept nogil:
    """An empty domain, attached: an object, or 0. Fault sites (alloc, map)."""
    cdef int domain = kmalloc(b"IOMMU domain", O_OPEN, site)
    if domain == 0:
        return 0
    vhost_iotlb_init(&iommu_domain, <uint32_t>TABLE_MAX, 0, L_NONE)
    return domain


cdef void iommu_domain_free(int domain, site_t site) noexcept nogil:
    """The page table goes with the domain."""
    kfree(domain, site)
    vhost_iotlb_reset(&iommu_domain)


cdef void perm_to_iommu_flags(uint32_t perm) noexcept nogil:
    """V30: a permission that there is; the kernel warns of others."""
    if unlikely(perm < VHOST_ACCESS_RO or perm > VHOST_ACCESS_RW):
        violation(CHECK_V30, b"perm_to_iommu_flags:warn", b"mapping", 0,
                  b"the kernel warns of permission %lld", perm, 0, 0)


cdef int iommu_map(int domain, uint64_t iova, uint64_t pa, uint64_t size,
                   uint32_t perm) noexcept nogil:
    """Whole pages: 0, -EINVAL, -ENOMEM. A fault site (map)."""
    check_obj(domain, b"iommu_map:domain")
    if fault(FAULT_MAP, b"iommu_map:fault"):
        return -ENOMEM
    if (iova | pa | size) & PAGE_MASK_LOW:
        return -EINVAL      # uncovered: what vhost-vdpa pins are whole pages
    return vhost_iotlb_add_range_ctx(&iommu_domain, iova, iova + size - 1, pa, perm, 0)


cdef void iommu_unmap(int domain, uint64_t iova, uint64_t size) noexcept nogil:
    """V16: of a domain that is there. V22: what is mapped, which the IOMMU drivers demand."""
    check_obj(domain, b"iommu_unmap:domain")
    if unlikely(tree_first(&iommu_domain, 0, iova, iova + size - 1) < 0):
        violation(CHECK_V22, b"iommu_unmap:unmapped", b"IOMMU domain", domain,
                  b"[%lld, %lld] is unmapped, and nothing there is mapped", <int64_t>iova,
                  <int64_t>(iova + size - 1), 0)
    vhost_iotlb_del_range(&iommu_domain, iova, iova + size - 1)
