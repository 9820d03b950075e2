# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The rig's primitives of VDUSE: requests of a device, its ioctls, and what the judge says."""


cdef int64_t rig_vduse_enqueue(const int64_t* a) noexcept nogil:
    """Message a[0] of device 0 goes to the end of its list of requests to be read."""
    lock(L_MSG, X_SITE)
    vduse_enqueue_msg(&V_devs[0], <int>a[0], MSG_ON_SEND, False, X_SITE)
    unlock(L_MSG, X_SITE)
    return V_devs[0].n_send


cdef int64_t rig_vduse_get_fd(const int64_t* a) noexcept nogil:
    cdef Seg entry
    cdef uint32_t mode
    cdef int r = vduse_iotlb_get_fd(&V_devs[0], <uint32_t>a[0], <uint64_t>a[1], <uint64_t>a[2],
                                    &entry, &mode)
    judge_vduse_get_fd(&V_devs[0], <uint32_t>a[0], <uint64_t>a[1], <uint64_t>a[2], &entry, r)
    return r


cdef int64_t rig_judge_msg_sent(const int64_t* a) noexcept nogil:
    judge_msg_sent(&V_devs[0], <uint32_t>a[0])
    return 0


cdef int64_t rig_judge_msg_refused(const int64_t* a) noexcept nogil:
    judge_msg_refused(&V_devs[0])
    return 0


cdef int64_t rig_judge_msg_ended(const int64_t* a) noexcept nogil:
    judge_msg_ended(&V_devs[0], <uint32_t>a[0], <int>a[1])
    return 0


cdef int64_t rig_judge_vduse_read(const int64_t* a) noexcept nogil:
    judge_vduse_reading(&V_devs[0])
    judge_vduse_read(&V_devs[0], <uint32_t>a[0], <int>a[1])
    return 0


cdef int64_t rig_judge_vduse_reply(const int64_t* a) noexcept nogil:
    judge_vduse_reply(&V_devs[0], <uint32_t>a[0], <int>a[1], <int>a[2])
    return 0


cdef int64_t rig_judge_vduse_ioctl(const int64_t* a) noexcept nogil:
    judge_vduse_ioctl(&V_devs[0], a[0] != 0, <int>a[1])
    return 0


cdef int64_t rig_judge_umem_reg(const int64_t* a) noexcept nogil:
    judge_umem_reg(&V_devs[1], 0, UAREA_BASE, <uint32_t>a[0], <int>a[1])
    return 0


cdef int64_t rig_judge_umem_dereg_call(const int64_t* a) noexcept nogil:
    judge_umem_dereg_call(&V_devs[1], 0, <uint32_t>a[0], <int>a[1])
    return 0


cdef int64_t rig_domain_map(const int64_t* a) noexcept nogil:
    lock(L_IOMMU, X_SITE)
    return rig_unlocked(vhost_iotlb_itree_first(&V_domain, <uint64_t>a[0], <uint64_t>a[0]))


cdef int64_t rig_unlocked(int64_t result) noexcept nogil:
    unlock(L_IOMMU, X_SITE)
    return result


cdef int64_t rig_domain_free(const int64_t* a) noexcept nogil:
    """vduse_domain_free_coherent() of the first page, without its memory."""
    vduse_domain_free_coherent(&V_devs[1], 0, PAGE_SIZE)
    return V_domain.n


cdef int64_t rig_coherent_page(const int64_t* a) noexcept nogil:
    return vduse_domain_get_coherent_page(&V_devs[1], 0, 0)


cdef int64_t rig_judge_coherent_alloc(const int64_t* a) noexcept nogil:
    judge_coherent_alloc(&V_devs[1], <int>a[0], PAGE_SIZE, <int>a[1])
    return 0


cdef int64_t rig_judge_coherent_free(const int64_t* a) noexcept nogil:
    judge_coherent_free(<int>a[0], <int>a[1])
    return 0


cdef int64_t rig_judge_coherent_read(const int64_t* a) noexcept nogil:
    judge_coherent_read(<int>a[0], 0, <int>a[1])
    return 0


cdef int64_t rig_judge_domain_released(const int64_t* a) noexcept nogil:
    judge_domain_released()
    return 0


cdef int64_t rig_judge_vduse_closed(const int64_t* a) noexcept nogil:
    judge_vduse_closed(&V_devs[1])
    return 0


cdef void _rig_add_vduse():
    _rig_add("judge_umem_reg npages ret", rig_judge_umem_reg)
    _rig_add("judge_umem_dereg_call npages ret", rig_judge_umem_dereg_call)
    _rig_add("judge_vduse_closed", rig_judge_vduse_closed)
    _rig_add("vduse_enqueue msg -> requests to be read", rig_vduse_enqueue)
    _rig_add("vduse_get_fd asid start last -> 0 or -errno", rig_vduse_get_fd)
    _rig_add("judge_msg_sent request", rig_judge_msg_sent)
    _rig_add("judge_msg_refused", rig_judge_msg_refused)
    _rig_add("judge_msg_ended request ret", rig_judge_msg_ended)
    _rig_add("judge_vduse_read request ret", rig_judge_vduse_read)
    _rig_add("judge_vduse_reply request result ret", rig_judge_vduse_reply)
    _rig_add("judge_vduse_ioctl good ret", rig_judge_vduse_ioctl)
    _rig_add("domain_map addr -> map", rig_domain_map)
    _rig_add("domain_free -> mappings left", rig_domain_free)
    _rig_add("coherent_page -> was it written or -errno", rig_coherent_page)
    _rig_add("judge_coherent_alloc page ret", rig_judge_coherent_alloc)
    _rig_add("judge_coherent_free page ret", rig_judge_coherent_free)
    _rig_add("judge_coherent_read page known", rig_judge_coherent_read)
    _rig_add("judge_domain_released", rig_judge_domain_released)
    _rig_field("domain.own_refs", &M.refs[MAP_FILE_OWN][0], sizeof(int))
    _rig_field("coherent.obj", &V_coherent[0].obj, sizeof(int), VDUSE_COHERENT_PAGES,
               sizeof(VduseCoherent))
    _rig_field("msg.live", &V_devs[0].msgs[0].live, 1, VDUSE_MSGS, sizeof(VduseMsg))
    _rig_field("vduse.n_send", &V_devs[0].n_send, sizeof(int))
    _rig_field("domain.refs", &M.refs[MAP_FILE_DOMAIN][0], sizeof(int), FILES, sizeof(int))
    _RIG_LIMITS["msg"] = VDUSE_MSGS
