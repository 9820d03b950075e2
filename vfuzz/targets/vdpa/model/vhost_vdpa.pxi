# SPDX-License-Identifier: GPL-2.0-or-later
"""The device node: probe, removal, open, release, reset, owner, backend features.

drivers/vhost/vdpa.c (6.1.192, 6.12.117); vhost_dev_set_owner(), vhost_dev_cleanup() of vhost.c.
"""


cdef inline uint64_t bit(int n) noexcept nogil:
    return <uint64_t>1 << n


# ---- reset ----

cdef int _compat_vdpa_reset() noexcept nogil:
    """vdpa_reset(); from 6.7 on the parent also drops its mappings, unless IOTLB_PERSIST."""
    cdef uint32_t flags = 0
    cdef int ret
    if era_6_12():
        v.suspended = False
        # squashed into bc91df5c70ac: the queue array was used unasked
        if quirk(QUIRK_A19):
            check_obj(v.vqs, b"_compat_vdpa_reset:vqs")
        if v.vqs and not (v_vqs[0].acked_backend_features & bit(VHOST_BACKEND_F_IOTLB_PERSIST)):
            flags = VDPA_RESET_F_CLEAN_MAP
    v.vq_num_max = 0
    ret = vdpa_reset(flags)
    if ret == 0:
        v.vq_num_max = <uint16_t>vdpa.vq_num_max
    return ret


cdef int vhost_vdpa_reset() noexcept nogil:
    v.in_batch = False
    return _compat_vdpa_reset()


# ---- open, release ----

cdef inline void vhost_vq_reset(uint32_t q) noexcept nogil:
    """A queue as new: no addresses, one entry, no eventfd, nothing acknowledged."""
    memset(&v_vqs[q], 0, sizeof(VhostVirtqueue))
    v_vqs[q].num = 1


cdef void vhost_dev_init() noexcept nogil:
    """Each queue as new, and no owner."""
    cdef uint32_t i
    for i in range(v.nvqs):
        vhost_vq_reset(i)
        v_vqs[i].handler = True
    v.mm = 0


cdef void vhost_dev_cleanup() noexcept nogil:
    cdef uint32_t i
    if quirk(QUIRK_A05):
        # RFC of the series: the mappings were in the table that vhost itself frees
        for i in range(vdpa.nas):
            if asid_to_as(i):
                vhost_iotlb_reset(&A_as[asid_to_as(i)].iotlb)
    for i in range(v.nvqs):
        if v_vqs[i].error_ctx:
            eventfd_ctx_put(v_vqs[i].error_ctx, b"vhost_dev_cleanup:error_ctx")
        if v_vqs[i].kick:
            eventfd_ctx_put(v_vqs[i].kick, b"vhost_dev_cleanup:kick")
        if v_vqs[i].call_ctx:
            eventfd_ctx_put(v_vqs[i].call_ctx, b"vhost_dev_cleanup:call_ctx")
        kfree(v_vqs[i].indirect, b"vhost_dev_cleanup:indirect")
        vhost_vq_reset(i)
    kfree(v.umem, b"vhost_dev_cleanup:umem")
    v.umem = 0
    v.mm = 0


cdef void vhost_vdpa_cleanup() noexcept nogil:
    cdef uint32_t asid
    if quirk(QUIRK_A05):
        vhost_dev_cleanup()
    for asid in range(vdpa.nas):
        if asid_to_as(asid):
            vhost_vdpa_remove_as(asid)
    vhost_vdpa_free_domain()
    vhost_dev_cleanup()
    kfree(v.vqs, b"vhost_vdpa_cleanup:vqs")
    if not (era_6_12() and quirk(QUIRK_A19)):
        v.vqs = 0


cdef int vhost_vdpa_alloc_domain() noexcept nogil:
    """The address space of a device that the platform's IOMMU maps: 0, -EIO (6.1), -ENOMEM."""
    if vdpa.has_set_map or vdpa.has_dma_map:
        return 0
    v.domain = iommu_domain_alloc(b"vhost_vdpa_alloc_domain:alloc")
    if v.domain == 0:
        return -ENOMEM if era_6_12() else -EIO
    if fault(FAULT_MAP, b"vhost_vdpa_alloc_domain:attach"):
        iommu_domain_free(v.domain, b"vhost_vdpa_alloc_domain:free")
        v.domain = 0
        return -ENOMEM
    return 0


cdef void vhost_vdpa_free_domain() noexcept nogil:
    if v.domain:
        iommu_domain_free(v.domain, b"vhost_vdpa_free_domain:free")
    v.domain = 0


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
    r = vhost_vdpa_alloc_domain()
    if r:
        # "fix vqs leak in vhost_vdpa_open()": the queue array stayed
        if not quirk(QUIRK_A34):
            vhost_vdpa_cleanup()
            v.opened = False
        return r
    # get_iova_range(), or what the domain enforces
    v.first = vdpa.first
    v.last = vdpa.last
    if quirk(QUIRK_CANARY):
        kmalloc(b"canary", O_CALL, b"vhost_vdpa_open:canary")
    return 0


cdef void vhost_vdpa_clean_irq() noexcept nogil:
    cdef uint32_t i
    for i in range(v.nvqs):
        vhost_vdpa_unsetup_vq_irq(i)


cdef void vhost_vdpa_release() noexcept nogil:
    """The last close: reset the device, then drop the mappings, then the owner."""
    lock(L_DEV, b"vhost_vdpa_release:lock")
    vhost_vdpa_clean_irq()
    vhost_vdpa_reset()
    vhost_vdpa_unbind_mm()
    vhost_vdpa_config_put()
    if quirk(QUIRK_A13):
        # 037d4305569a: only vhost's own part was cleaned up
        vhost_dev_cleanup()
    else:
        # 5a522150093a: the domain went first, then the mappings in it
        if quirk(QUIRK_A17):
            vhost_vdpa_free_domain()
        vhost_vdpa_cleanup()
    unlock(L_DEV, b"vhost_vdpa_release:unlock")
    v.opened = False


# ---- ioctls ----

cdef int vhost_dev_alloc_iovecs() noexcept nogil:
    """0 or -ENOMEM. Of the three vectors of a queue two are of no bytes here."""
    cdef uint32_t i
    for i in range(v.nvqs):
        v_vqs[i].indirect = kmalloc(b"iovec", O_OPEN, b"vhost_dev_alloc_iovecs:indirect")
        if v_vqs[i].indirect == 0:
            while i:
                i -= 1
                kfree(v_vqs[i].indirect, b"vhost_dev_alloc_iovecs:free")
                v_vqs[i].indirect = 0
            return -ENOMEM
    return 0


cdef int vhost_dev_set_owner() noexcept nogil:
    if v.mm:
        return -EBUSY
    if vhost_dev_alloc_iovecs():
        return -ENOMEM
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
            features |= bit(VHOST_BACKEND_F_DESC_ASID)  # uncovered: no parent here has one
        if vhost_vdpa_has_persistent_map():
            features |= bit(VHOST_BACKEND_F_IOTLB_PERSIST)
        features |= vdpa.backend_features
    return features


cdef inline bint vhost_vdpa_has_persistent_map() noexcept nogil:
    return ((not vdpa.has_set_map and not vdpa.has_dma_map) or vdpa.has_reset_map
            or (vdpa.backend_features & bit(VHOST_BACKEND_F_IOTLB_PERSIST)) != 0)


cdef int vhost_vdpa_set_backend_features(const IoctlArg* arg) noexcept nogil:
    """VHOST_SET_BACKEND_FEATURES: before everything else, without owner or mutex."""
    cdef uint64_t known = VHOST_VDPA_BACKEND_FEATURES | bit(VHOST_BACKEND_F_SUSPEND)
    cdef uint64_t features = arg.desc
    cdef uint32_t i
    if copy_fails(arg, b"vhost_vdpa_set_backend_features:copy"):
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


# ---- probe, removal ----

cdef void vhost_vdpa_release_dev() noexcept nogil:
    """The last reference to the node's device is gone."""
    check_obj(v.obj, b"vhost_vdpa_release_dev:device")
    ida_free(b"vhost_vdpa_release_dev:minor")
    kfree(v.vq_array, b"vhost_vdpa_release_dev:vqs")
    kfree(v.obj, b"vhost_vdpa_release_dev:free")


cdef void ida_free(site_t site) noexcept nogil:
    """V46: the minor number is given back once."""
    if unlikely(v.minor == 0):
        violation(CHECK_V46, site, b"minor", 0, b"a minor number is given back that is free", 0, 0,
                  0)
    v.minor = 0


cdef int vhost_vdpa_probe() noexcept nogil:
    """The node of a new device: 0 or -ENOMEM."""
    memset(&v, 0, sizeof(v))
    memset(v_vqs, 0, sizeof(v_vqs))
    v.obj = kmalloc(b"vhost_vdpa", O_DEVICE, b"vhost_vdpa_probe:v")
    if v.obj == 0:
        return -ENOMEM
    if fault(FAULT_ALLOC, b"vhost_vdpa_probe:minor"):
        kfree(v.obj, b"vhost_vdpa_probe:free")
        return -ENOMEM
    v.minor = 1
    v.nvqs = vdpa.nvqs
    v.vq_array = kmalloc(b"virtqueues", O_DEVICE, b"vhost_vdpa_probe:vqs")
    if (v.vq_array == 0 or fault(FAULT_ALLOC, b"vhost_vdpa_probe:set_name")
            or fault(FAULT_ALLOC, b"vhost_vdpa_probe:cdev_add")):
        vhost_vdpa_release_dev()
        # e07754e0a1ea: put_device() had freed all of it already
        if quirk(QUIRK_B02):
            check_obj(v.obj, b"vhost_vdpa_probe:freed")
            ida_free(b"vhost_vdpa_probe:minor_again")   # uncovered: v is gone, as that says
        return -ENOMEM
    return 0


cdef int vdpa_dev_add() noexcept nogil:
    """vdpasim_net_dev_add() and the like: device and node, 0 or -errno."""
    cdef int r = vdpa_create()
    if r:
        return r
    r = vhost_vdpa_probe()
    if r:
        vdpa_free()
        return r
    vdpa.exists = True
    return 0


cdef void vdpa_dev_del() noexcept nogil:
    """The device goes: at once, or when the node is closed. Nobody can open it again."""
    if v.opened:
        v.removing = True
        return
    v.opened = True
    vhost_vdpa_release_dev()
    vdpa_free()
