# SPDX-License-Identifier: GPL-2.0-or-later
"""The device node: open, release, reset, owner, backend features, status.

drivers/vhost/vdpa.c (6.1.192, 6.12.117); vhost_dev_set_owner(), vhost_dev_cleanup() of vhost.c.
"""


cdef inline uint64_t bit(int n) noexcept nogil:
    return <uint64_t>1 << n


# ---- reset ----

cdef int _compat_vdpa_reset() noexcept nogil:
    """vdpa_reset(); from 6.7 on the parent also drops its mappings, unless IOTLB_PERSIST."""
    cdef uint32_t flags = 0
    if era_6_12():
        v.suspended = False
        # squashed into bc91df5c70ac: the queue array was used unasked
        if quirk(QUIRK_A19):
            check_obj(v.vqs, b"_compat_vdpa_reset:vqs")
        if v.vqs and not (v_vqs[0].acked_backend_features & bit(VHOST_BACKEND_F_IOTLB_PERSIST)):
            flags = VDPA_RESET_F_CLEAN_MAP
    return vdpa_reset(flags)


cdef int vhost_vdpa_reset() noexcept nogil:
    v.in_batch = False
    return _compat_vdpa_reset()


# ---- open, release ----

cdef void vhost_dev_init() noexcept nogil:
    """Each queue as new: no addresses, one entry, no eventfd, nothing acknowledged; no owner."""
    cdef uint32_t i
    for i in range(v.nvqs):
        memset(&v_vqs[i], 0, sizeof(VhostVirtqueue))
        v_vqs[i].num = 1
        v_vqs[i].handler = True
    v.mm = 0


cdef void vhost_dev_cleanup() noexcept nogil:
    cdef uint32_t i
    if quirk(QUIRK_A05):
        # RFC of the series: the mappings were in the table that vhost itself frees
        for i in range(vdpa.nas):
            if asid_to_as(i):
                vhost_iotlb_reset(&A_as[asid_to_as(i)].iotlb)
    v.mm = 0


cdef void vhost_vdpa_cleanup() noexcept nogil:
    cdef uint32_t asid
    if quirk(QUIRK_A05):
        vhost_dev_cleanup()
    for asid in range(vdpa.nas):
        if asid_to_as(asid):
            vhost_vdpa_remove_as(asid)
    vhost_dev_cleanup()
    kfree(v.vqs, b"vhost_vdpa_cleanup:vqs")
    if not (era_6_12() and quirk(QUIRK_A19)):
        v.vqs = 0


cdef int vhost_vdpa_open() noexcept nogil:
    """open(2) of the node: 0, -EBUSY, -ENOMEM."""
    cdef int r
    if v.opened:
        return -EBUSY
    v.opened = True
    v.nvqs = vdpa.nvqs
    r = vhost_vdpa_reset()
    if r == 0:
        v.vqs = kmalloc(b"virtqueue array", O_OPEN, b"vhost_vdpa_open:vqs")
        if v.vqs == 0:
            r = -ENOMEM
    if r:
        # "fix vhost_vdpa_open error handling": it stayed open for nobody
        if not quirk(QUIRK_A34):
            v.opened = False
        return r
    vhost_dev_init()
    v.first = vdpa.first
    v.last = vdpa.last
    return 0


cdef void vhost_vdpa_release() noexcept nogil:
    """The last close: reset the device, then drop the mappings, then the owner."""
    lock(L_DEV, b"vhost_vdpa_release:lock")
    vhost_vdpa_reset()
    vhost_vdpa_unbind_mm()
    if quirk(QUIRK_A13):
        # 037d4305569a: only vhost's own part was cleaned up
        vhost_dev_cleanup()
    else:
        vhost_vdpa_cleanup()
    unlock(L_DEV, b"vhost_vdpa_release:unlock")
    v.opened = False


# ---- ioctls ----

cdef int vhost_dev_set_owner() noexcept nogil:
    if v.mm:
        return -EBUSY
    v.mm = mm.who + 1
    return 0


cdef uint64_t vhost_vdpa_backend_features() noexcept nogil:
    """What VHOST_GET_BACKEND_FEATURES says: the features on offer."""
    cdef uint64_t features = VHOST_VDPA_BACKEND_FEATURES
    if vdpa.has_suspend:
        features |= bit(VHOST_BACKEND_F_SUSPEND)
    if era_6_12():
        if vdpa.has_resume:
            features |= bit(VHOST_BACKEND_F_RESUME)
        if vdpa.has_desc_group:
            features |= bit(VHOST_BACKEND_F_DESC_ASID)
        if vhost_vdpa_has_persistent_map():
            features |= bit(VHOST_BACKEND_F_IOTLB_PERSIST)
        features |= vdpa.backend_features
    return features


cdef inline bint vhost_vdpa_has_persistent_map() noexcept nogil:
    return ((not vdpa.has_set_map and not vdpa.has_dma_map) or vdpa.has_reset_map
            or (vdpa.backend_features & bit(VHOST_BACKEND_F_IOTLB_PERSIST)) != 0)


cdef int vhost_vdpa_set_backend_features(uint64_t features) noexcept nogil:
    """VHOST_SET_BACKEND_FEATURES: before everything else, without owner or mutex."""
    cdef uint64_t known = VHOST_VDPA_BACKEND_FEATURES | bit(VHOST_BACKEND_F_SUSPEND)
    cdef uint32_t i
    if fault(FAULT_ADD, b"vhost_vdpa_set_backend_features:copy"):
        return -EFAULT
    if era_6_12():
        known |= (bit(VHOST_BACKEND_F_RESUME) | bit(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK)
                  | bit(VHOST_BACKEND_F_DESC_ASID) | bit(VHOST_BACKEND_F_IOTLB_PERSIST))
    if features & ~known:
        return -EOPNOTSUPP
    if features & bit(VHOST_BACKEND_F_SUSPEND) and not vdpa.has_suspend:
        return -EOPNOTSUPP
    if features & bit(VHOST_BACKEND_F_RESUME) and not vdpa.has_resume:
        return -EOPNOTSUPP
    if features & bit(VHOST_BACKEND_F_DESC_ASID):
        if not (features & bit(VHOST_BACKEND_F_IOTLB_ASID)):
            return -EINVAL
        if not vdpa.has_desc_group:
            return -EOPNOTSUPP
    if features & bit(VHOST_BACKEND_F_IOTLB_PERSIST) and not vhost_vdpa_has_persistent_map():
        return -EOPNOTSUPP
    for i in range(v.nvqs):
        v_vqs[i].acked_backend_features = features
    return 0


cdef int vhost_vdpa_set_status(uint8_t status) noexcept nogil:
    """VHOST_VDPA_SET_STATUS: bits are only added; 0 resets the device, and no more than that."""
    cdef uint8_t old
    if fault(FAULT_ADD, b"vhost_vdpa_set_status:copy"):
        return -EFAULT
    old = ops_get_status()
    if status != 0 and (old & ~status) != 0:
        return -EINVAL
    if status == 0:
        return _compat_vdpa_reset()
    vdpa_set_status(status)
    return 0
