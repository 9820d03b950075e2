# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge of the node: what each ioctl must return and do, and who has which eventfd.

Its books are made of the process' calls that succeeded. A rule that an old kernel does not have is
judged all the same: there its violation is known.
"""

cdef struct JudgeNode:
    uint8_t status
    uint8_t suspended
    uint64_t features           # of the driver
    uint8_t packed              # rings are, as vhost-vdpa was told last; a reset does not tell it
    uint8_t touched             # an eventfd was got or put in this op
    int config                  # eventfd of the configuration
    int kick[NVQS_MAX]
    int call[NVQS_MAX]
    int err[NVQS_MAX]
    uint8_t open[EVENTFDS + 1]
    uint8_t ready[NVQS_MAX]
    uint8_t base_known[NVQS_MAX]    # base[] was set or reset, and the device did not run since
    uint32_t base[NVQS_MAX]
    uint32_t num[NVQS_MAX]      # size of each ring, 0 not set
    uint8_t bypass[NVQS_MAX]    # producers that were registered before the op

cdef JudgeNode JN


cdef void judge_node_boot() noexcept nogil:
    cdef int e
    memset(&JN, 0, sizeof(JN))
    for e in range(1, EVENTFDS + 1):
        JN.open[e] = True


cdef void judge_node_reset() noexcept nogil:
    """The device was reset: status, features, positions, which queues are enabled."""
    cdef int i
    JN.status = 0
    JN.suspended = False
    JN.features = 0
    judge_ring_reset()
    for i in range(NVQS_MAX):
        JN.ready[i] = False
        JN.base[i] = 0
        JN.base_known[i] = True
        # a simulator's rings keep their size
        if vdpa.parent == PARENT_IOMMU or vdpa.parent == PARENT_VDUSE:
            JN.num[i] = 0


cdef void judge_node_close() noexcept nogil:
    """The opener's eventfds are given back."""
    JN.config = 0
    JN.packed = False
    memset(JN.kick, 0, sizeof(JN.kick))
    memset(JN.call, 0, sizeof(JN.call))
    memset(JN.err, 0, sizeof(JN.err))
    JN.touched = True


# ---- hooks of the model ----

cdef void judge_eventfd_put(int e) noexcept nogil:
    """V45: the interrupt bypass does not keep an eventfd whose queue has dropped it."""
    cdef int i
    JN.touched = True
    for i in range(NVQS_MAX):
        if unlikely(v_vqs[i].producer and v_vqs[i].token == e and v_vqs[i].call_ctx != e):
            violation(CHECK_V45, b"judge_eventfd_put:token", b"queue", i,
                      b"queue %lld drops eventfd %lld, which is still the token of its producer", i,
                      e, 0)


cdef void judge_callback_end(int q, int ctx) noexcept nogil:
    """V45: a callback signals an eventfd that its queue, or the configuration, still has."""
    if ctx == 0:
        return
    if unlikely(q < 0 and ctx != JN.config):
        violation(CHECK_V45, b"irq_end:config", b"eventfd", ctx,
                  b"the config callback signals eventfd %lld, which was dropped meanwhile", ctx, 0,
                  0)
    if unlikely(q >= 0 and ctx != JN.call[q]):
        violation(CHECK_V45, b"irq_end:vq", b"eventfd", ctx,
                  b"the callback of queue %lld signals eventfd %lld, dropped meanwhile", q, ctx, 0)


cdef inline void judge_suspend(site_t site) noexcept nogil:
    """The parent is told to suspend or resume. V38: it runs."""
    if unlikely(not (JN.status & VIRTIO_CONFIG_S_DRIVER_OK)):
        violation(CHECK_V38, site, b"device", 0, b"a device with status %lld is told to stop or go "
                  b"on", JN.status, 0, 0)


# ---- errnos ----

cdef void judge_errno(int ret, int expected, int check, site_t accepted,
                      site_t other) noexcept nogil:
    """A call returned ret. check@accepted: it must fail and did not; V48@other: it fails and must
    not, or otherwise. What was made to fail may."""
    if unlikely(ret > 0):
        violation(CHECK_V48, other, b"call", W.op, b"a call returns %lld", ret, 0, 0)
    if ret == 0:
        if unlikely(expected < 0):
            violation(check, accepted, b"call", W.op, b"a call succeeds that must fail with %lld",
                      -expected, 0, 0)
        return
    if W.faults_fired or J.unanswered:
        return
    if unlikely(expected == 0):
        violation(CHECK_V48, other, b"call", W.op, b"a call fails with %lld that must succeed",
                  -ret, 0, 0)
    if unlikely(ret != expected):
        violation(CHECK_V48, other, b"call", W.op, b"a call fails with %lld instead of %lld", -ret,
                  -expected, 0)


cdef inline bint is_owner() noexcept nogil:
    return J.owner == mm.who + 1


cdef inline bint is_running() noexcept nogil:
    return (JN.status & VIRTIO_CONFIG_S_DRIVER_OK) != 0


cdef int queue_errno(const IoctlArg* arg) noexcept nogil:
    """What every queue ioctl demands: the owner, an argument, a queue."""
    if not is_owner():
        return -EPERM
    if arg.null:
        return -EFAULT
    return -ENOBUFS if arg.index >= vdpa.nvqs else 0


cdef int fd_errno(int fd) noexcept nogil:
    if fd == FD_NONE:
        return 0
    if fd == FD_NOT_EVENTFD:
        return -EINVAL
    return -EBADF if fd == FD_CLOSED or not JN.open[fd] else 0


# ---- ioctls of the device ----

cdef uint64_t value_of(int what) noexcept nogil:
    if what == GET_WHAT_DEVICE_ID:
        return vdpa.device_id
    if what == GET_WHAT_STATUS:
        return JN.status
    if what == GET_WHAT_FEATURES:
        return vdpa.device_features
    if what == GET_WHAT_VRING_NUM:
        return vdpa.vq_num_max
    if what == GET_WHAT_GROUP_NUM:
        return vdpa.ngroups
    if what == GET_WHAT_AS_NUM:
        return vdpa.nas
    if what == GET_WHAT_IOVA_RANGE:
        return vdpa.first
    if what == GET_WHAT_CONFIG_SIZE:
        return vdpa.config_size
    return vdpa.nvqs


cdef void judge_get(const IoctlArg* arg, int ret) noexcept nogil:
    """V48: a number of the device's, as it offers it."""
    cdef int what = <int>arg.index
    judge_errno(ret, 0, CHECK_V48, NULL, b"judge_get:errno")
    if ret or what == GET_WHAT_BACKEND_FEATURES:
        return
    if unlikely(arg.desc != value_of(what)
                or (what == GET_WHAT_IOVA_RANGE and arg.avail != vdpa.last)):
        violation(CHECK_V48, b"judge_get:value", b"call", W.op, b"value %lld is %lld, and must be "
                  b"%lld", what, <int64_t>arg.desc, <int64_t>value_of(what))


cdef void judge_set_status(const IoctlArg* arg, int ret) noexcept nogil:
    """V42: bits only grow, and features are a part of the offer once they are settled."""
    cdef uint8_t bits = <uint8_t>arg.num
    cdef bint shrinks = bits != 0 and (JN.status & ~bits) != 0
    cdef uint8_t now = ops_get_status()
    judge_errno(ret, -EINVAL if shrinks else 0, CHECK_V42, b"judge_set_status:accepted",
                b"judge_set_status:errno")
    if ret:
        return
    if unlikely(now & ~bits or (bits and JN.status & ~now)):
        violation(CHECK_V42, b"judge_set_status:value", b"device", 0,
                  b"after status %lld was set to %lld it is %lld", JN.status, bits, now)
    if unlikely(now & VIRTIO_CONFIG_S_FEATURES_OK
                and ops_get_driver_features() & ~vdpa.device_features):
        violation(CHECK_V42, b"judge_set_status:features", b"device", 0,
                  b"features %lld are settled, %lld are on offer",
                  <int64_t>ops_get_driver_features(), <int64_t>vdpa.device_features, 0)
    JN.status = now
    if is_running():
        memset(JN.base_known, 0, sizeof(JN.base_known))


cdef void judge_set_features(const IoctlArg* arg, int ret) noexcept nogil:
    """V42: not after FEATURES_OK. V48: a simulator insists on ACCESS_PLATFORM."""
    cdef int expected = 0
    cdef int check = CHECK_V48
    cdef bint packed
    if JN.status & VIRTIO_CONFIG_S_FEATURES_OK:
        expected, check = -EBUSY, CHECK_V42
    elif (vdpa.has_vq_state and vdpa.parent != PARENT_VDUSE
          and not (arg.desc & bit(VIRTIO_F_ACCESS_PLATFORM))):
        expected = -EINVAL
    judge_errno(ret, expected, check, b"judge_set_features:accepted", b"judge_set_features:errno")
    if ret == 0:
        JN.features = ops_get_driver_features()
        packed = (JN.features & bit(VIRTIO_F_RING_PACKED)) != 0
        if packed != JN.packed:
            memset(JN.base_known, 0, sizeof(JN.base_known))
        JN.packed = packed


cdef void judge_config(const IoctlArg* arg, int ret) noexcept nogil:
    """V40: the bytes asked for are in the configuration."""
    cdef bint outside = (arg.len == 0
                         or <uint64_t>arg.num + arg.len > <uint64_t>vdpa.config_size)
    judge_errno(ret, -EINVAL if outside else 0, CHECK_V40, b"judge_config:outside",
                b"judge_config:errno")


cdef void judge_config_call(const IoctlArg* arg, int ret) noexcept nogil:
    """V45: an fd that is none changes nothing."""
    JN.touched = True
    judge_errno(ret, fd_errno(arg.fd), CHECK_V48, b"judge_config_call:accepted",
                b"judge_config_call:errno")
    if ret == 0:
        JN.config = arg.fd
    elif unlikely(v.config_ctx < 0):
        violation(CHECK_V45, b"judge_config_call:error", b"node", 0,
                  b"an error is left as eventfd of the configuration", 0, 0, 0)
    elif unlikely(v.config_ctx != JN.config):
        violation(CHECK_V45, b"judge_config_call:dropped", b"eventfd", JN.config,
                  b"a call that fails with %lld takes eventfd %lld from the configuration", -ret,
                  JN.config, 0)


cdef void judge_suspend_call(int ret) noexcept nogil:
    """A device that does not run need not be able to."""
    cdef int expected = 0 if vdpa.has_suspend else -EOPNOTSUPP
    if not is_running() and ret == 0:
        expected = 0
    judge_errno(ret, expected, CHECK_V48, b"judge_suspend:accepted", b"judge_suspend:errno")
    if ret == 0 and is_running():
        JN.suspended = True


cdef void judge_resume_call(int ret) noexcept nogil:
    """A kernel that does not know it takes it for a queue ioctl without argument."""
    cdef int expected = 0 if vdpa.has_resume else -EOPNOTSUPP
    if not vdpa.has_resume_ioctl:
        expected = -EFAULT if is_owner() else -EPERM
    elif not is_running() and ret == 0:
        expected = 0
    judge_errno(ret, expected, CHECK_V48, b"judge_resume:accepted", b"judge_resume:errno")
    if ret == 0 and is_running():
        JN.suspended = False


cdef void judge_other(int cmd, const IoctlArg* arg, int ret) noexcept nogil:
    """The ioctls that vhost-vdpa does not have, or that mean nothing to it."""
    cdef int expected = queue_errno(arg)
    if cmd == CMD_SET_LOG_BASE or cmd == CMD_SET_LOG_FD:
        expected = -ENOTTY
    elif cmd == CMD_SET_MEM_TABLE:
        expected = -EPERM if not is_owner() else -EFAULT if arg.null else 0
    elif cmd == CMD_UNKNOWN and expected == 0:
        expected = -ENOTTY
    judge_errno(ret, expected, CHECK_V48, b"judge_other:accepted", b"judge_other:errno")


# ---- ioctls of queues ----

cdef void judge_vring_num(const IoctlArg* arg, int ret) noexcept nogil:
    """V43: a power of two, up to the device's maximum."""
    cdef int expected = queue_errno(arg)
    cdef site_t site = b"judge_queue:accepted"
    cdef int check = CHECK_V48
    if expected == 0 and (arg.num == 0 or arg.num & (arg.num - 1) or arg.num > 0xffff):
        expected, check, site = -EINVAL, CHECK_V43, b"judge_vring_num:size"
    elif expected == 0 and J_vduse[0].setup:
        # what the daemon changes, vhost-vdpa hears with the next reset
        expected = ret if ret == -EINVAL else 0
    elif expected == 0 and arg.num > vdpa.vq_num_max:
        expected, check, site = -EINVAL, CHECK_V43, b"judge_vring_num:max"
    judge_errno(ret, expected, check, site, b"judge_vring_num:errno")
    if ret == 0:
        JN.num[arg.index] = arg.num


cdef void judge_vring_addr(const IoctlArg* arg, int ret) noexcept nogil:
    """V43: aligned as virtio says, and not while the ring is in use."""
    cdef int expected = queue_errno(arg)
    cdef site_t site = b"judge_queue:accepted"
    cdef int check = CHECK_V48
    if expected == 0 and arg.flags > 1:
        expected, site = -EOPNOTSUPP, b"judge_vring_addr:flags"
    elif expected == 0 and (arg.avail & 1 or arg.used & 3):
        expected, check, site = -EINVAL, CHECK_V43, b"judge_vring_addr:alignment"
    elif expected == 0 and is_running() and not JN.suspended:
        expected, check, site = -EINVAL, CHECK_V43, b"judge_vring_addr:running"
    judge_errno(ret, expected, check, site, b"judge_vring_addr:errno")


cdef void judge_vring_base(const IoctlArg* arg, int ret) noexcept nogil:
    """V35: a position of this kind of ring. V43: not while it is in use."""
    # the device may have forgotten in a reset that its rings are packed
    cdef bint first = (arg.num & 0xffff) == 0
    cdef int expected = queue_errno(arg)
    cdef site_t site = b"judge_queue:accepted"
    cdef int check = CHECK_V48
    if JN.features & bit(VIRTIO_F_RING_PACKED):
        first = arg.num == <uint32_t>0x80008000
    if expected == 0 and not JN.packed and arg.num > 0xffff:
        expected, check, site = -EINVAL, CHECK_V35, b"judge_vring_base:range"
    elif expected == 0 and is_running() and not JN.suspended:
        # a parent that takes no position may say so instead
        expected = ret if ret < 0 else -EINVAL
        check, site = CHECK_V43, b"judge_vring_base:running"
    elif expected == 0 and not vdpa.has_vq_state and not (
            JN.status & VIRTIO_CONFIG_S_FEATURES_OK and not JN.ready[arg.index]
            and first):
        expected, check, site = -EOPNOTSUPP, CHECK_V35, b"judge_vring_base:state"
    if unlikely(JN.packed and check != CHECK_V43 and ret != expected and not W.faults_fired):
        violation(CHECK_V35, b"judge_vring_base:packed", b"queue", arg.index,
                  b"position %lld of a packed ring: %lld, must be %lld", arg.num, ret, expected)
    judge_errno(ret, expected, check, site, b"judge_vring_base:errno")
    if ret == 0:
        JN.base[arg.index] = arg.num if JN.packed else <uint16_t>arg.num
        # a device that does not know of its packed ring takes half of it
        if JN.packed and not (JN.features & bit(VIRTIO_F_RING_PACKED)):
            JN.base_known[arg.index] = False


cdef void judge_get_vring_base(const IoctlArg* arg, int ret) noexcept nogil:
    """V35: what was set, while the device did not run."""
    cdef int expected = queue_errno(arg)
    if expected == 0 and not vdpa.has_vq_state:
        expected = -EOPNOTSUPP
    judge_errno(ret, expected, CHECK_V48, b"judge_queue:accepted", b"judge_get_vring_base:errno")
    if unlikely(ret == 0 and JN.base_known[arg.index] and arg.num != JN.base[arg.index]):
        violation(CHECK_V35, b"judge_get_vring_base:value", b"queue", arg.index,
                  b"queue %lld is at %lld, was set to %lld", arg.index, arg.num,
                  JN.base[arg.index])


cdef void judge_vring_enable(const IoctlArg* arg, int ret) noexcept nogil:
    judge_errno(ret, queue_errno(arg), CHECK_V48, b"judge_queue:accepted",
                b"judge_vring_enable:errno")
    if ret == 0:
        JN.ready[arg.index] = arg.num != 0


cdef void judge_vring_fd(int cmd, const IoctlArg* arg, int ret) noexcept nogil:
    """V6: a bad fd changes nothing, the interrupt bypass of the queue neither."""
    cdef int expected = queue_errno(arg)
    cdef uint32_t q = arg.index
    if expected == 0:
        expected = fd_errno(arg.fd)
    JN.touched = True
    judge_errno(ret, expected, CHECK_V48, b"judge_queue:accepted", b"judge_vring_fd:errno")
    if ret == 0:
        if cmd == CMD_SET_VRING_KICK:
            JN.kick[q] = arg.fd
        elif cmd == CMD_SET_VRING_CALL:
            JN.call[q] = arg.fd
        else:
            JN.err[q] = arg.fd
    elif q < vdpa.nvqs:
        if unlikely(v_vqs[q].producer != JN.bypass[q]):
            violation(CHECK_V6, b"judge_vring_fd:bypass", b"queue", q,
                      b"a call that fails with %lld takes the interrupt bypass from queue %lld",
                      -ret, q, 0)


cdef uint32_t ring_size(uint32_t q, uint32_t said) noexcept nogil:
    """What the parent says of a ring: virtio-pci begins with the maximum, VDUSE with the queue's
    own, a simulator says the maximum until the device runs."""
    if vdpa.parent == PARENT_IOMMU or vdpa.parent == PARENT_VDUSE:
        if JN.num[q]:
            return JN.num[q]
        return vdpa.vq_num_max if vdpa.parent == PARENT_IOMMU else said
    return JN.num[q] if is_running() else vdpa.vq_num_max


cdef void judge_get_vring(int cmd, const IoctlArg* arg, int ret) noexcept nogil:
    """V48, V25: a group of the device's, or an errno."""
    cdef int expected = queue_errno(arg)
    if expected == 0 and cmd == CMD_GET_VRING_GROUP:
        if not vdpa.has_groups:
            expected = -EOPNOTSUPP
        elif vdpa.group_of[arg.index] >= vdpa.ngroups:
            expected = -EIO
    elif expected == 0 and cmd == CMD_GET_VRING_DESC_GROUP:
        expected = -EOPNOTSUPP if vdpa.has_desc_group_ioctl else -ENOTTY
    elif expected == 0:
        expected = (-ENOTTY if not vdpa.has_vring_size_ioctl else
                    -EOPNOTSUPP if not vdpa.has_vq_size else 0)
    judge_errno(ret, expected, CHECK_V48, b"judge_queue:accepted", b"judge_get_vring:errno")
    if unlikely(ret == 0 and cmd == CMD_GET_VRING_GROUP
                and arg.num != vdpa.group_of[arg.index]):
        violation(CHECK_V25, b"judge_get_vring:group", b"queue", arg.index,
                  b"queue %lld is in group %lld, not %lld", arg.index, arg.num,
                  vdpa.group_of[arg.index])
    if unlikely(ret == 0 and cmd == CMD_GET_VRING_SIZE
                and arg.num != ring_size(arg.index, arg.num)):
        violation(CHECK_V43, b"judge_get_vring:size", b"queue", arg.index,
                  b"the ring of queue %lld has size %lld, must have %lld", arg.index, arg.num,
                  ring_size(arg.index, arg.num))


cdef void judge_set_group_asid(const IoctlArg* arg, int ret) noexcept nogil:
    """V25: a group and an address space of the device's. V27: not while it runs."""
    cdef int expected = queue_errno(arg)
    cdef site_t site = b"judge_queue:accepted"
    cdef int check = CHECK_V48
    if expected == 0 and arg.index >= vdpa.ngroups:
        expected, check, site = -EINVAL, CHECK_V25, b"judge_set_group_asid:group"
    elif expected == 0 and arg.num >= vdpa.nas:
        expected, check, site = -EINVAL, CHECK_V25, b"judge_set_group_asid:space"
    elif expected == 0 and is_running():
        # a parent without groups may say so instead
        expected = ret if not vdpa.has_groups and ret < 0 else -EBUSY
        check, site = CHECK_V27, b"judge_set_group_asid:running"
    elif expected == 0 and not vdpa.has_groups:
        expected = -EOPNOTSUPP
    elif expected == 0 and vdpa.parent == PARENT_VDUSE and not vduse_has_groups():
        expected = -EINVAL
    judge_errno(ret, expected, check, site, b"judge_set_group_asid:errno")
    if ret == 0 and vdpa.parent == PARENT_VDUSE:
        J_group_as[arg.index] = arg.num


# ---- all of them ----

cdef void judge_ioctl(int cmd, const IoctlArg* arg, int ret) noexcept nogil:
    """ioctl(2) returned `ret`; arg is what its argument points at since."""
    if cmd == CMD_SET_OWNER:
        judge_owner(ret)
    elif cmd == CMD_SET_BACKEND_FEATURES:
        judge_backend_features(arg.desc, vhost_vdpa_backend_features(), ret)
    elif cmd == CMD_GET:
        judge_get(arg, ret)
    elif cmd == CMD_SET_STATUS:
        judge_set_status(arg, ret)
    elif cmd == CMD_SET_FEATURES:
        judge_set_features(arg, ret)
    elif cmd == CMD_GET_CONFIG or cmd == CMD_SET_CONFIG:
        judge_config(arg, ret)
    elif cmd == CMD_SET_CONFIG_CALL:
        judge_config_call(arg, ret)
    elif cmd == CMD_SUSPEND:
        judge_suspend_call(ret)
    elif cmd == CMD_RESUME:
        judge_resume_call(ret)
    else:
        judge_vring_ioctl(cmd, arg, ret)
    if ret == 0:
        judge_ring_ioctl(cmd, arg)


cdef void judge_vring_ioctl(int cmd, const IoctlArg* arg, int ret) noexcept nogil:
    if cmd == CMD_SET_VRING_NUM:
        judge_vring_num(arg, ret)
    elif cmd == CMD_SET_VRING_ADDR:
        judge_vring_addr(arg, ret)
    elif cmd == CMD_SET_VRING_BASE:
        judge_vring_base(arg, ret)
    elif cmd == CMD_GET_VRING_BASE:
        judge_get_vring_base(arg, ret)
    elif cmd == CMD_SET_VRING_ENABLE:
        judge_vring_enable(arg, ret)
    elif (cmd == CMD_SET_VRING_KICK or cmd == CMD_SET_VRING_CALL
          or cmd == CMD_SET_VRING_ERR):
        judge_vring_fd(cmd, arg, ret)
    elif (cmd == CMD_GET_VRING_GROUP or cmd == CMD_GET_VRING_DESC_GROUP
          or cmd == CMD_GET_VRING_SIZE):
        judge_get_vring(cmd, arg, ret)
    elif cmd == CMD_SET_GROUP_ASID:
        judge_set_group_asid(arg, ret)
    else:
        judge_other(cmd, arg, ret)


# ---- doorbells, device ----

cdef void judge_mmap(uint32_t pgoff, uint32_t npages, bint shared, bint readable, uint32_t upage,
                     int ret) noexcept nogil:
    """V25: the doorbell of a queue that there is."""
    cdef int expected = 0
    if npages != 1 or not shared or readable or upage + npages > UAREA_PAGES:
        expected = -EINVAL
    elif not vdpa.has_doorbell:
        expected = -ENOTSUPP
    elif pgoff >= vdpa.nvqs or (pgoff * vdpa.doorbell_size) & PAGE_MASK_LOW:
        expected = -EINVAL
    elif vdpa.doorbell_size != PAGE_SIZE:
        expected = -ENOTSUPP
    judge_errno(ret, expected, CHECK_V25, b"judge_mmap:accepted", b"judge_mmap:errno")


cdef void judge_dev_add(int ret) noexcept nogil:
    """V46: a device that could not be made leaves nothing."""
    cdef int expected = 0
    memset(JN.num, 0, sizeof(JN.num))
    if not vdpa.keeps_maps and J.device_limit < 2:
        expected = -EINVAL
    elif vdpa.parent == PARENT_VDUSE and J.device_limit == 0:
        # no device, or no limit
        expected = ret if ret == -EINVAL or ret == -ENOMEM else 0
    judge_errno(ret, expected, CHECK_V48, b"judge_dev_add:accepted", b"judge_dev_add:errno")
    if unlikely(ret and O.live[O_DEVICE] != 0):
        violation(CHECK_V46, b"judge_dev_add:objects", b"object", O.n - 1,
                  b"%lld objects of a device that does not exist", O.live[O_DEVICE], 0, 0)


# ---- after each op ----

cdef void judge_node_begin_op() noexcept nogil:
    cdef int i
    JN.touched = False
    if vdpa.has_vq_irq:
        for i in range(NVQS_MAX):
            JN.bypass[i] = v_vqs[i].producer


cdef void judge_eventfds() noexcept nogil:
    """V45: references are the process' own, and one for each place that has the eventfd."""
    cdef int[EVENTFDS + 1] refs
    cdef int e, i
    if unlikely(v.config_ctx != JN.config):
        violation(CHECK_V45, b"judge_eventfds:config", b"node", 0,
                  b"the configuration has eventfd %lld, must have %lld", v.config_ctx, JN.config, 0)
    for e in range(EVENTFDS + 1):
        refs[e] = JN.open[e]
    refs[JN.config] += 1
    for i in range(NVQS_MAX):
        refs[JN.kick[i]] += 1
        refs[JN.call[i]] += 1
        refs[JN.err[i]] += 1
        if unlikely(v_vqs[i].kick != JN.kick[i] or v_vqs[i].call_ctx != JN.call[i]
                    or v_vqs[i].error_ctx != JN.err[i]):
            violation(CHECK_V45, b"judge_eventfds:queue", b"queue", i,
                      b"an eventfd of queue %lld is not the one that was set", i, 0, 0)
        if unlikely(v_vqs[i].token != 0 and v_vqs[i].token != v_vqs[i].call_ctx):
            violation(CHECK_V45, b"judge_eventfds:token", b"queue", i,
                      b"the producer of queue %lld has token %lld, the queue eventfd %lld", i,
                      v_vqs[i].token, v_vqs[i].call_ctx)
    for e in range(1, EVENTFDS + 1):
        if unlikely(E_fds[e].refs != refs[e]):
            violation(CHECK_V45, b"judge_eventfds:refs", b"eventfd", e,
                      b"eventfd %lld has %lld references, and %lld users", e, E_fds[e].refs,
                      refs[e])


cdef inline void judge_node_after_op() noexcept nogil:
    if unlikely(JN.touched):
        judge_eventfds()
