# SPDX-License-Identifier: GPL-2.0-or-later
"""The ioctls of the node, its doorbell mappings.

drivers/vhost/vdpa.c and, for vhost_dev_ioctl() and vhost_vring_ioctl(), vhost.c (6.1.192,
6.12.117). 7.0 is 6.12.117 with SET_GROUP_ASID refused while the device runs (3543b04a4ea3), and
without what 6.12.117 took from later versions: the maximum of VRING_NUM (ccb1dc7c527f), the lock of
the config eventfd (62be4e3e5f5f) and its check before the swap (e74a9fa50749), the index check of
doorbells (929e4f044621).
"""

cdef enum:
    # ioctls that vhost-vdpa dispatches itself
    CMD_SET_BACKEND_FEATURES = 0
    CMD_GET = 1                 # all that only report a value: IoctlArg.index says which
    CMD_SET_STATUS = 2
    CMD_GET_CONFIG = 3
    CMD_SET_CONFIG = 4
    CMD_SET_FEATURES = 5
    CMD_SET_CONFIG_CALL = 6
    CMD_SUSPEND = 7
    CMD_RESUME = 8
    CMD_SET_LOG_BASE = 9
    CMD_SET_LOG_FD = 10
    # of vhost
    CMD_SET_OWNER = 11
    CMD_SET_MEM_TABLE = 12
    # of queues
    CMD_SET_VRING_NUM = 13
    CMD_SET_VRING_ADDR = 14
    CMD_SET_VRING_BASE = 15
    CMD_GET_VRING_BASE = 16
    CMD_SET_VRING_ENABLE = 17
    CMD_SET_VRING_KICK = 18
    CMD_SET_VRING_CALL = 19
    CMD_SET_VRING_ERR = 20
    CMD_GET_VRING_GROUP = 21
    CMD_GET_VRING_DESC_GROUP = 22
    CMD_GET_VRING_SIZE = 23
    CMD_SET_GROUP_ASID = 24
    CMD_SET_VRING_BUSYLOOP = 25
    CMD_UNKNOWN = 26            # RESET_OWNER, GET_VRING_ENDIAN on x86, ...

    VHOST_VRING_F_LOG = 0


cdef inline bint copy_fails(const IoctlArg* arg, site_t site) noexcept nogil:
    """copy_from_user(), copy_to_user(), get_user(). A fault site (add)."""
    return arg.null or fault(FAULT_ADD, site)


# ---- values ----

cdef int vhost_vdpa_get(IoctlArg* arg) noexcept nogil:
    """The ioctls that copy one value to the process: 0 or -EFAULT."""
    cdef uint64_t value = 0
    cdef int what = <int>arg.index
    if what == GET_WHAT_DEVICE_ID:
        value = vdpa.device_id
    elif what == GET_WHAT_STATUS:
        value = ops_get_status()
    elif what == GET_WHAT_FEATURES:
        value = vdpa.device_features
    elif what == GET_WHAT_VRING_NUM:
        value = vdpa.vq_num_max
    elif what == GET_WHAT_GROUP_NUM:
        value = vdpa.ngroups
    elif what == GET_WHAT_AS_NUM:
        value = vdpa.nas
    elif what == GET_WHAT_IOVA_RANGE:
        value = v.first
        arg.avail = v.last
    elif what == GET_WHAT_CONFIG_SIZE:
        value = vdpa.config_size
    elif what == GET_WHAT_VQS_COUNT:
        value = vdpa.nvqs
    else:
        value = vhost_vdpa_backend_features()
    arg.desc = value
    if copy_fails(arg, b"vhost_vdpa_get:copy"):
        # "return -EFAULT on copy_to_user() failure": the bytes that are left
        if quirk(QUIRK_A12) and (what == GET_WHAT_GROUP_NUM or what == GET_WHAT_AS_NUM):
            return 4
        return -EFAULT
    return 0


# ---- configuration ----

cdef int vhost_vdpa_config_validate(const IoctlArg* arg) noexcept nogil:
    cdef uint64_t size = vdpa.config_size
    # 3ed21c1451a1: the offset was not compared
    if arg.len == 0 or (arg.num > size and not quirk(QUIRK_A36)):
        return -EINVAL
    if arg.len > size - arg.num:
        return -E2BIG
    return 0


cdef int vhost_vdpa_get_config(IoctlArg* arg) noexcept nogil:
    cdef uint8_t[CONFIG_MAX] buf
    cdef int obj, i
    if copy_fails(arg, b"vhost_vdpa_get_config:header"):
        return -EFAULT
    if vhost_vdpa_config_validate(arg):
        return -EINVAL
    obj = kmalloc(b"config buffer", O_CALL, b"vhost_vdpa_get_config:buf")
    if obj == 0:
        return -ENOMEM
    memset(buf, 0, sizeof(buf))
    vdpa_get_config(arg.num, buf, arg.len)
    arg.desc = 0
    for i in range(min(<int>arg.len, 8)):
        arg.desc |= <uint64_t>buf[i] << (8 * i)
    kfree(obj, b"vhost_vdpa_get_config:free")
    return -EFAULT if copy_fails(arg, b"vhost_vdpa_get_config:copy") else 0


cdef int vhost_vdpa_set_config(const IoctlArg* arg) noexcept nogil:
    cdef uint8_t[CONFIG_MAX] buf
    cdef int obj
    cdef uint32_t i
    if copy_fails(arg, b"vhost_vdpa_set_config:header"):
        return -EFAULT
    if vhost_vdpa_config_validate(arg):
        return -EINVAL
    obj = kmalloc(b"config buffer", O_CALL, b"vhost_vdpa_set_config:buf")
    if obj == 0:
        return -ENOMEM
    if copy_fails(arg, b"vhost_vdpa_set_config:copy"):
        kfree(obj, b"vhost_vdpa_set_config:free_error")
        return -EFAULT
    for i in range(min(arg.len, <uint32_t>CONFIG_MAX)):
        buf[i] = <uint8_t>(arg.flags + i)
    vdpa_set_config(arg.num, buf, arg.len)
    kfree(obj, b"vhost_vdpa_set_config:free")
    return 0


cdef void vhost_vdpa_config_put() noexcept nogil:
    cdef int ctx
    lock(L_CONFIG, b"vhost_vdpa_config_put:lock")
    ctx = v.config_ctx
    # f6bbf0010ba0: the pointer stayed
    if not quirk(QUIRK_A21):
        v.config_ctx = 0
    unlock(L_CONFIG, b"vhost_vdpa_config_put:unlock")
    if ctx:
        eventfd_ctx_put(ctx, b"vhost_vdpa_config_put:put")


cdef int vhost_vdpa_set_config_call(const IoctlArg* arg) noexcept nogil:
    cdef int ctx, old
    # up to 7.2 an error was swapped in, and then taken out again; before 0bde59c1723a it stayed
    cdef bint swap_first = era_7_0() or quirk(QUIRK_A22)
    if copy_fails(arg, b"vhost_vdpa_set_config_call:copy"):
        return -EFAULT
    ctx = 0 if arg.fd == FD_NONE else eventfd_ctx_fdget(arg.fd)
    if ctx < 0 and not swap_first:
        return ctx
    old = v.config_ctx
    lock(L_CONFIG, b"vhost_vdpa_set_config_call:lock")
    v.config_ctx = max(ctx, ERR_PTR)
    unlock(L_CONFIG, b"vhost_vdpa_set_config_call:unlock")
    if old > 0:
        eventfd_ctx_put(old, b"vhost_vdpa_set_config_call:put")
    if ctx < 0:
        if not quirk(QUIRK_A22):
            v.config_ctx = 0
        return ctx
    ops_set_config_cb()
    return 0


# ---- features, status ----

cdef int vhost_vdpa_set_features(const IoctlArg* arg) noexcept nogil:
    cdef uint64_t actual
    cdef uint32_t i
    if ops_get_status() & VIRTIO_CONFIG_S_FEATURES_OK:
        return -EBUSY
    if copy_fails(arg, b"vhost_vdpa_set_features:copy"):
        return -EFAULT
    if vdpa_set_features(arg.desc):
        return -EINVAL
    # "tell vqs about the negotiated": they did not know that a ring is packed
    if quirk(QUIRK_A38):
        return 0
    actual = ops_get_driver_features()
    for i in range(v.nvqs):
        lock(L_VQ, b"vhost_vdpa_set_features:lock")
        v_vqs[i].acked_features = actual
        unlock(L_VQ, b"vhost_vdpa_set_features:unlock")
    return 0


cdef int vhost_vdpa_set_status(const IoctlArg* arg) noexcept nogil:
    """VHOST_VDPA_SET_STATUS: bits are only added; 0 resets the device, and no more than that."""
    cdef uint8_t old, status
    cdef uint32_t i
    cdef int ret
    if copy_fails(arg, b"vhost_vdpa_set_status:copy"):
        return -EFAULT
    status = <uint8_t>arg.num
    old = ops_get_status()
    if status != 0 and (old & ~status) != 0:
        return -EINVAL
    if old & VIRTIO_CONFIG_S_DRIVER_OK and not (status & VIRTIO_CONFIG_S_DRIVER_OK):
        for i in range(v.nvqs):
            vhost_vdpa_unsetup_vq_irq(i)
    if status == 0:
        ret = _compat_vdpa_reset()
        if ret:
            return ret
    else:
        vdpa_set_status(status)
    if status & VIRTIO_CONFIG_S_DRIVER_OK and not (old & VIRTIO_CONFIG_S_DRIVER_OK):
        for i in range(v.nvqs):
            vhost_vdpa_setup_vq_irq(i)
    return 0


cdef int vhost_vdpa_suspend() noexcept nogil:
    cdef int ret
    # 6.9: only what runs is suspended
    if (era_6_12() and not quirk(QUIRK_A40)
            and not (ops_get_status() & VIRTIO_CONFIG_S_DRIVER_OK)):
        return 0
    if not vdpa.has_suspend:
        return -EOPNOTSUPP
    ret = ops_suspend()
    if ret == 0:
        v.suspended = True
    return ret


cdef int vhost_vdpa_resume() noexcept nogil:
    cdef int ret
    if not quirk(QUIRK_A40) and not (ops_get_status() & VIRTIO_CONFIG_S_DRIVER_OK):
        return 0
    if not vdpa.has_resume:
        return -EOPNOTSUPP
    ret = ops_resume()
    if ret == 0:
        v.suspended = False
    return ret


# ---- vhost ----

cdef inline int vhost_dev_check_owner() noexcept nogil:
    return 0 if v.mm == mm.who + 1 else -EPERM


cdef int vhost_set_memory(const IoctlArg* arg) noexcept nogil:
    """VHOST_SET_MEM_TABLE of no regions, which vhost-vdpa never looks at."""
    cdef int newmem, newumem
    if copy_fails(arg, b"vhost_set_memory:header"):
        return -EFAULT
    newmem = kmalloc(b"memory table", O_CALL, b"vhost_set_memory:newmem")
    if newmem == 0:
        return -ENOMEM
    # to copy no regions cannot fail
    newumem = kmalloc(b"umem", O_OPEN, b"vhost_set_memory:newumem")
    if newumem == 0:
        kfree(newmem, b"vhost_set_memory:free_umem")
        return -ENOMEM
    kfree(v.umem, b"vhost_set_memory:oldumem")
    v.umem = newumem
    kfree(newmem, b"vhost_set_memory:free")
    return 0


cdef int vhost_dev_ioctl(int cmd, const IoctlArg* arg) noexcept nogil:
    """-EPERM for all but the owner; -ENOIOCTLCMD for what it does not know."""
    cdef int r
    if cmd == CMD_SET_OWNER:
        return vhost_dev_set_owner()
    r = vhost_dev_check_owner()
    if r:
        return r
    if cmd == CMD_SET_MEM_TABLE:
        return vhost_set_memory(arg)
    return -ENOIOCTLCMD


cdef int vhost_get_vq_from_user(const IoctlArg* arg) noexcept nogil:
    """The queue that the argument names: its index, -EFAULT, -ENOBUFS."""
    if copy_fails(arg, b"vhost_get_vq_from_user:index"):
        return -EFAULT
    if arg.index >= v.nvqs:
        return -ENOBUFS
    return <int>arg.index


cdef inline bint bad_ring_size(uint32_t num) noexcept nogil:
    return num == 0 or num > 0xffff or (num & (num - 1)) != 0


cdef int vhost_vring_set_addr(VhostVirtqueue* vq, const IoctlArg* arg) noexcept nogil:
    """No alignment is asked of desc, and no address is looked up: they are IOVAs."""
    if copy_fails(arg, b"vhost_vring_set_addr:copy"):
        return -EFAULT
    if arg.flags & ~<uint32_t>(1 << VHOST_VRING_F_LOG):
        return -EOPNOTSUPP
    if arg.avail & 1 or arg.used & 3:
        return -EINVAL
    vq.log_used = (arg.flags & 1 << VHOST_VRING_F_LOG) != 0
    vq.desc = arg.desc
    vq.avail = arg.avail
    vq.log_addr = 0
    vq.used = arg.used
    return 0


cdef int vhost_vring_set_num(VhostVirtqueue* vq, const IoctlArg* arg) noexcept nogil:
    if copy_fails(arg, b"vhost_vring_set_num:copy"):
        return -EFAULT
    if bad_ring_size(arg.num):
        return -EINVAL
    vq.num = arg.num
    return 0


cdef int vhost_vring_set_kick(uint32_t q, const IoctlArg* arg) noexcept nogil:
    """The eventfd whose signals kick the queue; one that was signalled already kicks at once."""
    cdef VhostVirtqueue* vq = &v_vqs[q]
    cdef int ctx, old
    cdef bint pollstart = False
    if copy_fails(arg, b"vhost_vring_ioctl:kick"):
        return -EFAULT
    ctx = 0 if arg.fd == FD_NONE else eventfd_ctx_fdget(arg.fd)
    if ctx < 0:
        return ctx
    if ctx != vq.kick:
        old = vq.kick
        vq.kick = ctx
        pollstart = ctx != 0
    else:
        old = ctx
    if old:
        eventfd_ctx_put(old, b"vhost_vring_ioctl:kick_put")
    if pollstart and vq.handler and E_fds[ctx].signals:
        handle_vq_kick(q)
    return 0


cdef int vhost_vring_set_ctx(int* slot, const IoctlArg* arg) noexcept nogil:
    """SET_VRING_CALL and SET_VRING_ERR: another eventfd, the old one's reference is dropped."""
    cdef int ctx, old
    if copy_fails(arg, b"vhost_vring_ioctl:file"):
        return -EFAULT
    ctx = 0 if arg.fd == FD_NONE else eventfd_ctx_fdget(arg.fd)
    if ctx < 0:
        return ctx
    old = slot[0]
    slot[0] = ctx
    if old:
        eventfd_ctx_put(old, b"vhost_vring_ioctl:put")
    return 0


cdef inline bint is_packed(const VhostVirtqueue* vq) noexcept nogil:
    return (vq.acked_features & bit(VIRTIO_F_RING_PACKED)) != 0


cdef int vhost_vring_set_base(VhostVirtqueue* vq, const IoctlArg* arg) noexcept nogil:
    if copy_fails(arg, b"vhost_vring_ioctl:base"):
        return -EFAULT
    if is_packed(vq):
        vq.last_avail_idx = <uint16_t>arg.num
        vq.last_used_idx = <uint16_t>(arg.num >> 16)
    elif arg.num > 0xffff:
        return -EINVAL
    else:
        vq.last_avail_idx = <uint16_t>arg.num
    return 0


cdef int vhost_vring_locked(int cmd, uint32_t q, IoctlArg* arg) noexcept nogil:
    cdef VhostVirtqueue* vq = &v_vqs[q]
    if cmd == CMD_SET_VRING_NUM:
        return vhost_vring_set_num(vq, arg)
    if cmd == CMD_SET_VRING_ADDR:
        return vhost_vring_set_addr(vq, arg)
    if cmd == CMD_SET_VRING_BASE:
        return vhost_vring_set_base(vq, arg)
    if cmd == CMD_GET_VRING_BASE:
        arg.num = vq.last_avail_idx
        if is_packed(vq):
            arg.num |= <uint32_t>vq.last_used_idx << 16
        return -EFAULT if copy_fails(arg, b"vhost_vring_ioctl:get_base") else 0
    if cmd == CMD_SET_VRING_KICK:
        return vhost_vring_set_kick(q, arg)
    if cmd == CMD_SET_VRING_CALL:
        return vhost_vring_set_ctx(&vq.call_ctx, arg)
    if cmd == CMD_SET_VRING_ERR:
        return vhost_vring_set_ctx(&vq.error_ctx, arg)
    if cmd == CMD_SET_VRING_BUSYLOOP:
        return -EFAULT if copy_fails(arg, b"vhost_vring_ioctl:busyloop") else 0
    return -ENOIOCTLCMD


cdef int vhost_vring_ioctl(int cmd, IoctlArg* arg) noexcept nogil:
    cdef int r = vhost_get_vq_from_user(arg)
    if r < 0:
        return r
    lock(L_VQ, b"vhost_vring_ioctl:lock")
    r = vhost_vring_locked(cmd, <uint32_t>r, arg)
    unlock(L_VQ, b"vhost_vring_ioctl:unlock")
    return r


# ---- queues ----

cdef int set_vring_num_checked(uint32_t q, uint32_t num) noexcept nogil:
    """SET_VRING_NUM of 6.12.117, which knows the device's maximum."""
    cdef int r = 0
    lock(L_VQ, b"vhost_vdpa_vring_ioctl:num_lock")
    # ccb1dc7c527f: any power of two of 16 bits
    if bad_ring_size(num) or (num > v.vq_num_max and not quirk(QUIRK_A26)):
        r = -EINVAL
    else:
        v_vqs[q].num = num
    unlock(L_VQ, b"vhost_vdpa_vring_ioctl:num_unlock")
    if r == 0:
        ops_set_vq_num(q, num)
    return r


cdef int get_vring_group(uint32_t q, IoctlArg* arg) noexcept nogil:
    # "make get_vq_group and set_group_asid optional": called unasked
    if not vdpa.has_groups and not quirk(QUIRK_A11):
        return -EOPNOTSUPP
    arg.num = ops_get_vq_group(q)
    if arg.num >= vdpa.ngroups:
        return -EIO
    return -EFAULT if copy_fails(arg, b"vhost_vdpa_vring_ioctl:group") else 0


cdef int set_group_asid(uint32_t group, const IoctlArg* arg) noexcept nogil:
    """The index was compared with the number of queues already."""
    if copy_fails(arg, b"vhost_vdpa_vring_ioctl:asid"):
        return -EFAULT
    # cd025c1e876b: the group was left to the parent
    if group >= vdpa.ngroups and not quirk(QUIRK_A09):
        return -EINVAL
    if arg.num >= vdpa.nas and not quirk(QUIRK_A08):
        return -EINVAL
    # 3543b04a4ea3
    if (era_7_0() and not quirk(QUIRK_A10)
            and ops_get_status() & VIRTIO_CONFIG_S_DRIVER_OK):
        return -EBUSY
    if not vdpa.has_groups and not quirk(QUIRK_A11):
        return -EOPNOTSUPP
    return ops_set_group_asid(group, arg.num)


cdef int before_vring_ioctl(int cmd, uint32_t q) noexcept nogil:
    """What vhost_vdpa_vring_ioctl() does before vhost's part: 0 or -errno."""
    cdef VhostVirtqueue* vq = &v_vqs[q]
    cdef VqState state
    cdef int r
    if cmd == CMD_GET_VRING_BASE:
        memset(&state, 0, sizeof(state))
        r = ops_get_vq_state(q, &state)
        if r:
            return r
        if is_packed(vq):
            # it lies on the stack, and is what was there
            if unlikely(not state.used_set):
                violation(CHECK_V36, b"vhost_vdpa_vring_ioctl:vq_state", b"queue", q,
                          b"the parent says half of the position of packed queue %lld", q, 0, 0)
            vq.last_avail_idx = state.avail >> 1 | <uint16_t>(state.avail << 15)
            vq.last_used_idx = state.used >> 1 | <uint16_t>(state.used << 15)
        else:
            vq.last_avail_idx = state.avail
    elif cmd == CMD_SET_VRING_CALL and vq.call_ctx and not quirk(QUIRK_A20):
        # 02e9e9366fef: the bypass kept an eventfd that was gone
        if ops_get_status() & VIRTIO_CONFIG_S_DRIVER_OK:
            vhost_vdpa_unsetup_vq_irq(q)
        if not era_7_0():
            vq.token = 0
    return 0


cdef bint vq_is_live() noexcept nogil:
    """6.8: addresses and base of a running ring stay as they are."""
    return (era_6_12() and not quirk(QUIRK_A39) and not v.suspended
            and (ops_get_status() & VIRTIO_CONFIG_S_DRIVER_OK) != 0)


cdef int after_vring_ioctl(int cmd, uint32_t q) noexcept nogil:
    """The parent is told."""
    cdef VhostVirtqueue* vq = &v_vqs[q]
    cdef VqState state
    if cmd == CMD_SET_VRING_ADDR:
        if vq_is_live():
            return -EINVAL
        ops_set_vq_address(q, vq.desc, vq.avail, vq.used)
    elif cmd == CMD_SET_VRING_BASE:
        if vq_is_live():
            return -EINVAL
        memset(&state, 0, sizeof(state))
        if is_packed(vq):
            state.avail = <uint16_t>(vq.last_avail_idx << 1) | vq.last_avail_idx >> 15
            state.used = <uint16_t>(vq.last_used_idx << 1) | vq.last_used_idx >> 15
        else:
            state.avail = vq.last_avail_idx
        return ops_set_vq_state(q, &state)
    elif cmd == CMD_SET_VRING_CALL:
        if vq.call_ctx and not quirk(QUIRK_A20):
            if not era_7_0():
                vq.token = vq.call_ctx
            if ops_get_status() & VIRTIO_CONFIG_S_DRIVER_OK:
                vhost_vdpa_setup_vq_irq(q)
        ops_set_vq_cb(q, vq.call_ctx != 0)
        if quirk(QUIRK_A20):
            vhost_vdpa_setup_vq_irq(q)
    elif cmd == CMD_SET_VRING_NUM:
        ops_set_vq_num(q, vq.num)
    return 0


cdef int vhost_vdpa_vring_ioctl(int cmd, IoctlArg* arg) noexcept nogil:
    cdef uint32_t q
    cdef int r = vhost_get_vq_from_user(arg)
    if r < 0:
        return r
    q = <uint32_t>r
    if cmd == CMD_SET_VRING_NUM and era_6_12() and not era_7_0():
        return set_vring_num_checked(q, arg.num)
    if cmd == CMD_SET_VRING_ENABLE:
        if copy_fails(arg, b"vhost_vdpa_vring_ioctl:enable"):
            return -EFAULT
        ops_set_vq_ready(q, arg.num != 0)
        return 0
    if cmd == CMD_GET_VRING_GROUP:
        return get_vring_group(q, arg)
    if cmd == CMD_GET_VRING_DESC_GROUP and era_6_12():
        # of the parents here none has it
        return -EOPNOTSUPP
    if cmd == CMD_SET_GROUP_ASID:
        return set_group_asid(q, arg)
    if cmd == CMD_GET_VRING_SIZE and era_6_12():
        if not vdpa.has_vq_size:
            return -EOPNOTSUPP
        arg.num = ops_get_vq_size(q)
        return -EFAULT if copy_fails(arg, b"vhost_vdpa_vring_ioctl:size") else 0
    r = before_vring_ioctl(cmd, q)
    if r == 0:
        r = vhost_vring_ioctl(cmd, arg)
    if r == 0:
        r = after_vring_ioctl(cmd, q)
    return r


# ---- all ----

cdef int ioctl_locked(int cmd, IoctlArg* arg) noexcept nogil:
    cdef int r
    if cmd == CMD_GET:
        return vhost_vdpa_get(arg)
    if cmd == CMD_SET_STATUS:
        return vhost_vdpa_set_status(arg)
    if cmd == CMD_GET_CONFIG:
        return vhost_vdpa_get_config(arg)
    if cmd == CMD_SET_CONFIG:
        return vhost_vdpa_set_config(arg)
    if cmd == CMD_SET_FEATURES:
        return vhost_vdpa_set_features(arg)
    if cmd == CMD_SET_CONFIG_CALL:
        return vhost_vdpa_set_config_call(arg)
    if cmd == CMD_SUSPEND:
        return vhost_vdpa_suspend()
    if cmd == CMD_RESUME and era_6_12():
        return vhost_vdpa_resume()
    if cmd == CMD_SET_LOG_BASE or cmd == CMD_SET_LOG_FD:
        return -ENOIOCTLCMD
    r = vhost_dev_ioctl(cmd, arg)
    # "fix backend feature ioctls": dispatched from here, into a function that locks
    if cmd == CMD_SET_BACKEND_FEATURES:
        if r == -ENOIOCTLCMD:
            lock(L_DEV, b"vhost_vdpa_unlocked_ioctl:again")
            # uncovered: this thread holds it already, which is V44
            r = vhost_vdpa_set_backend_features(arg)
            unlock(L_DEV, b"vhost_vdpa_unlocked_ioctl:again_unlock")
    elif r == -ENOIOCTLCMD:
        r = vhost_vdpa_vring_ioctl(cmd, arg)
    return r


cdef int vhost_vdpa_unlocked_ioctl(int cmd, IoctlArg* arg) noexcept nogil:
    """ioctl(2): 0 or -errno."""
    cdef int r
    if cmd == CMD_SET_BACKEND_FEATURES and not quirk(QUIRK_A37):
        return vhost_vdpa_set_backend_features(arg)
    lock(L_DEV, b"vhost_vdpa_unlocked_ioctl:lock")
    r = ioctl_locked(cmd, arg)
    if r == 0 and cmd == CMD_SET_OWNER:
        vhost_vdpa_bind_mm()
    unlock(L_DEV, b"vhost_vdpa_unlocked_ioctl:unlock")
    return -ENOTTY if r == -ENOIOCTLCMD else r


# ---- doorbells ----

cdef int vhost_vdpa_get_vq_notification(uint32_t index, site_t site) noexcept nogil:
    if index > 0xffff:
        return -EINVAL
    # 929e4f044621: any 16 bits
    if index >= v.nvqs and not (era_7_0() or quirk(QUIRK_A25)):
        return -EINVAL
    ops_get_vq_notification(index, site)
    return 0


cdef int vhost_vdpa_mmap(uint32_t pgoff, uint32_t npages, bint shared, bint readable,
                         uint32_t upage) noexcept nogil:
    """mmap(2) of the doorbell of queue `pgoff` at page `upage` of the area: 0 or -errno."""
    if npages == 0 or upage + npages > UAREA_PAGES:
        return -EINVAL
    # MAP_FIXED: what was there is gone before the file is asked, and stays so if that refuses
    mm_unmap(<int>upage, <int>npages)
    if npages != 1 or not shared or readable:
        return -EINVAL
    if not vdpa.has_doorbell:
        return -ENOTSUPP
    if vhost_vdpa_get_vq_notification(pgoff, b"vhost_vdpa_mmap:index"):
        return -EINVAL
    if (pgoff * vdpa.doorbell_size) & PAGE_MASK_LOW:
        return -EINVAL
    if vdpa.doorbell_size != PAGE_SIZE:
        return -ENOTSUPP
    mm_map_doorbell(<int>upage, pgoff)
    return 0


cdef int vhost_vdpa_fault(uint32_t upage) noexcept nogil:
    """The process rings the doorbell at that page: 0, -EFAULT if there is none."""
    cdef uint32_t index
    if mm_pages[upage].doorbell == 0:
        return -EFAULT
    index = mm_pages[upage].doorbell - 1
    if vhost_vdpa_get_vq_notification(index, b"vhost_vdpa_fault:index"):
        return -EFAULT      # uncovered: mmap() has asked the same
    ops_kick_vq(index)
    return 0
