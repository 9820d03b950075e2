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
    _rig_field("msg.live", &V_devs[0].msgs[0].live, 1, VDUSE_MSGS, sizeof(VduseMsg))
    _rig_field("vduse.n_send", &V_devs[0].n_send, sizeof(int))
    _rig_field("domain.refs", &M.refs[MAP_FILE_DOMAIN][0], sizeof(int), FILES, sizeof(int))
    _RIG_LIMITS["msg"] = VDUSE_MSGS
