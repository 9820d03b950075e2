# SPDX-License-Identifier: GPL-2.0-or-later
"""The vdpa core: struct vdpa_device, and the parent's config ops behind one name each.

include/linux/vdpa.h and drivers/vdpa/vdpa.c (6.1.192, 6.12.117). Which ops a parent has is in
`vdpa` (has_*); calling one that it does not have is V48: upstream that is a call of NULL.
"""


cdef void null_op(site_t site) noexcept nogil:
    violation(CHECK_V48, site, b"parent", vdpa.parent, b"parent %lld has no such operation",
              vdpa.parent, 0, 0)


cdef int ops_set_map(uint32_t asid, const Iotlb* iotlb) noexcept nogil:
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


cdef int vdpa_reset(uint32_t flags) noexcept nogil:
    """vdpa_reset(): the parent forgets rings, status and features; flags: VDPA_RESET_F_*."""
    cdef int r = 0
    vdpa.features_valid = False
    if vdpa.parent == PARENT_VDUSE:
        r = vduse_vdpa_reset(&V_devs[0])
    else:
        vdpasim_reset(flags)
    judge_reset()
    return r


cdef uint8_t ops_get_status() noexcept nogil:
    if vdpa.parent == PARENT_VDUSE:
        return V_devs[0].status
    return vdpasim_get_status()


cdef void vdpa_set_status(uint8_t status) noexcept nogil:
    if vdpa.parent == PARENT_VDUSE:
        vduse_vdpa_set_status(&V_devs[0], status)
    else:
        vdpasim_set_status(status)


# ---- boot ----

cdef uint32_t entries_of(uint32_t choice) noexcept nogil:
    """The module parameter that boot option `entries` or `sim_entries` means."""
    if choice == BOOT_ENTRIES_MANY:
        return IOTLB_ENTRIES
    if choice == BOOT_ENTRIES_EIGHT:
        return 8
    return <uint32_t>BOOT_ENTRIES_ZERO - choice


cdef void vdpa_create() noexcept nogil:
    """The parent makes its device (vdpa_register_device()); vdpa.exists says whether it could."""
    vdpa.parent = <int>P.boot[BOOT_PARENT]
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
    if vdpa.parent == PARENT_VDUSE:
        vdpa.exists = vduse_create() == 0
    else:
        vdpa.exists = vdpasim_create() == 0


cdef void vdpa_free() noexcept nogil:
    """The device goes (vdpa_unregister_device())."""
    if vdpa.parent == PARENT_VDUSE:
        vduse_free()
    else:
        vdpasim_free()
