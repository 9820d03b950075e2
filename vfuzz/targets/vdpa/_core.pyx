# SPDX-License-Identifier: GPL-2.0-or-later
"""vdpa, compiled: the process and its memory, vhost-vdpa, the parents, the judge."""

include "_gen.pxi"

cdef enum:
    CHECK_HANG = CHECK_V32      # hook of sim/world.pxi

include "../../sim/world.pxi"
include "../../sim/crc.pxi"
include "model/state.pxi"
include "model/ring_state.pxi"
include "oracle.pxi"
include "oracle_node.pxi"
include "oracle_vduse.pxi"
include "oracle_ring.pxi"
include "oracle_disk.pxi"
include "model/mm.pxi"
include "model/iotlb.pxi"
include "model/vdpa.pxi"
include "model/vringh.pxi"
include "model/vdpa_sim.pxi"
include "model/vdpa_sim_net.pxi"
include "model/vdpa_sim_blk.pxi"
include "model/vduse.pxi"
include "model/vp_vdpa.pxi"
include "model/va.pxi"
include "model/iotlb_msg.pxi"
include "model/eventfd.pxi"
include "model/vhost_vdpa.pxi"
include "model/ioctl.pxi"

from vfuzz.targets.vdpa.checks import CHECKS
from vfuzz.targets.vdpa.ops import SCHEMA

CHECK_IDS = tuple(check.id for check in CHECKS)


# ---- addresses ----

cdef uint64_t iova_of(uint32_t page, uint32_t off, uint32_t at) noexcept nogil:
    """The address that `page`, `off` and `at` of an op mean."""
    cdef uint64_t plain = (<uint64_t>page << PAGE_SHIFT) + off
    if at == UPDATE_AT_TOP:
        return U64_MAX - plain
    if at == UPDATE_AT_MIDDLE:
        return (<uint64_t>1 << 63) + plain
    if at == UPDATE_AT_FIRST:
        return vdpa.first + plain
    if at == UPDATE_AT_LAST:
        return vdpa.last - plain
    return plain


cdef uint64_t size_of(uint64_t iova, uint32_t npages, uint32_t nbytes,
                      uint32_t span) noexcept nogil:
    """The size that `npages`, `bytes` and `span` of an op mean."""
    cdef uint64_t plain = (<uint64_t>npages << PAGE_SHIFT) + nbytes
    if span == UPDATE_SPAN_ZERO:
        return 0
    if span == UPDATE_SPAN_TO_END:
        return U64_MAX - iova + 1
    if span == UPDATE_SPAN_ALL:
        return U64_MAX
    if span == UPDATE_SPAN_OVER_4G:
        return (<uint64_t>1 << 32) + plain
    return plain


cdef uint64_t uaddr_of(uint32_t upage, uint32_t uoff, uint32_t uat) noexcept nogil:
    cdef uint64_t plain = (<uint64_t>upage << PAGE_SHIFT) + uoff
    if uat == UPDATE_UAT_ZERO:
        return plain
    if uat == UPDATE_UAT_KERNEL:
        return KERNEL_BASE + plain
    if uat == UPDATE_UAT_TOP:
        return U64_MAX - plain
    return UAREA_BASE + plain


# ---- ops ----

cdef int send(uint32_t length, uint32_t format, uint32_t asid, VhostIotlbMsg* msg) noexcept nogil:
    """write(2) of a message, judged."""
    cdef int r
    judge_message_begin(length, format, asid, msg)
    r = vhost_chr_write_iter(length, format, asid, msg)
    judge_message_end(msg, r)
    event(0x100 + <uint32_t>msg.type * 64 + (J.blame != 0) * 32 + v.in_batch * 16
          + min(<uint32_t>J.n_runs, 15))
    return r


cdef int op_update(const vf_op* op) noexcept nogil:
    cdef VhostIotlbMsg msg
    msg.type = VHOST_IOTLB_UPDATE
    msg.iova = iova_of(op.arg[UPDATE_PAGE], op.arg[UPDATE_OFF], op.arg[UPDATE_AT])
    msg.size = size_of(msg.iova, op.arg[UPDATE_NPAGES], op.arg[UPDATE_BYTES], op.arg[UPDATE_SPAN])
    msg.uaddr = uaddr_of(op.arg[UPDATE_UPAGE], op.arg[UPDATE_UOFF], op.arg[UPDATE_UAT])
    msg.perm = <uint8_t>op.arg[UPDATE_PERM]
    return send(SIZEOF_VHOST_MSG, 2 - op.arg[UPDATE_VERSION], op.arg[UPDATE_ASID], &msg)


cdef int op_invalidate(const vf_op* op) noexcept nogil:
    cdef VhostIotlbMsg msg
    memset(&msg, 0, sizeof(msg))
    msg.type = VHOST_IOTLB_INVALIDATE
    msg.iova = iova_of(op.arg[INVALIDATE_PAGE], op.arg[INVALIDATE_OFF], op.arg[INVALIDATE_AT])
    msg.size = size_of(msg.iova, op.arg[INVALIDATE_NPAGES], op.arg[INVALIDATE_BYTES],
                       op.arg[INVALIDATE_SPAN])
    return send(SIZEOF_VHOST_MSG, 2 - op.arg[INVALIDATE_VERSION], op.arg[INVALIDATE_ASID], &msg)


cdef int op_batch(uint32_t asid, uint32_t version, uint32_t npages, int type) noexcept nogil:
    cdef VhostIotlbMsg msg
    memset(&msg, 0, sizeof(msg))
    msg.type = <uint8_t>type
    msg.size = <uint64_t>npages << PAGE_SHIFT
    return send(SIZEOF_VHOST_MSG, 2 - version, asid, &msg)


cdef int op_write(const vf_op* op) noexcept nogil:
    cdef VhostIotlbMsg msg
    msg.type = <uint8_t>op.arg[WRITE_TYPE]
    msg.iova = <uint64_t>op.arg[WRITE_PAGE] << PAGE_SHIFT
    msg.size = <uint64_t>op.arg[WRITE_NPAGES] << PAGE_SHIFT
    msg.uaddr = UAREA_BASE + msg.iova
    msg.perm = VHOST_ACCESS_RW
    return send(op.arg[WRITE_LENGTH], op.arg[WRITE_FORMAT], op.arg[WRITE_ASID], &msg)


cdef int op_open() noexcept nogil:
    cdef int r
    if not vdpa.exists or v.removing:
        return -ENODEV
    r = vhost_vdpa_open()
    judge_open(r)
    return r


cdef int op_close() noexcept nogil:
    """The last close: doorbells that are mapped would keep the node open."""
    mm_unmap_doorbells()
    J.asid = NAS_MAX
    vhost_vdpa_release()
    judge_close()
    if v.removing:
        judge_after_op()
        vdpa_dev_del()
    return 0


cdef int call(int cmd, IoctlArg* arg) noexcept nogil:
    """ioctl(2), judged."""
    cdef int r = vhost_vdpa_unlocked_ioctl(cmd, arg)
    judge_ioctl(cmd, arg, r)
    return r


cdef int op_set(const vf_op* op, IoctlArg* arg) noexcept nogil:
    """Owner, features, status, the configuration's eventfd, suspend and resume."""
    if op.kind == OP_SET_OWNER:
        return call(CMD_SET_OWNER, arg)
    if op.kind == OP_SET_BACKEND_FEATURES:
        arg.desc = op.arg[SET_BACKEND_FEATURES_BITS]
        return call(CMD_SET_BACKEND_FEATURES, arg)
    if op.kind == OP_SET_STATUS:
        arg.num = op.arg[SET_STATUS_BITS]
        return call(CMD_SET_STATUS, arg)
    if op.kind == OP_SET_FEATURES:
        arg.desc = features_of(op.arg[SET_FEATURES_BITS])
        if op.arg[SET_FEATURES_BITS] & SET_FEATURES_BITS_UNKNOWN:
            arg.desc |= bit(63)
        return call(CMD_SET_FEATURES, arg)
    if op.kind == OP_CONFIG_CALL:
        arg.fd = <int>op.arg[CONFIG_CALL_FD]
        return call(CMD_SET_CONFIG_CALL, arg)
    # both have no argument, which a kernel that does not know RESUME takes for NULL
    arg.null = True
    return call(CMD_SUSPEND if op.kind == OP_SUSPEND else CMD_RESUME, arg)


cdef int op_config(const vf_op* op, IoctlArg* arg) noexcept nogil:
    cdef int r
    arg.num = op.arg[GET_CONFIG_OFF]
    arg.len = op.arg[GET_CONFIG_LEN]
    if op.kind == OP_SET_CONFIG:
        arg.flags = op.arg[SET_CONFIG_VALUE]
        return call(CMD_SET_CONFIG, arg)
    r = call(CMD_GET_CONFIG, arg)
    if r == 0:
        obs(b"config", <int64_t>arg.desc)
    return r


cdef int op_get(const vf_op* op, IoctlArg* arg) noexcept nogil:
    cdef int r
    arg.index = op.arg[GET_WHAT]
    r = call(CMD_GET, arg)
    if r == 0:
        obs(b"value", <int64_t>arg.desc)
        if arg.index == GET_WHAT_IOVA_RANGE:
            obs(b"last", <int64_t>arg.avail)
    return r


cdef int op_vring(const vf_op* op, IoctlArg* arg) noexcept nogil:
    """Ioctls of a queue: the first argument is its index, the second mostly a number."""
    cdef uint32_t at
    cdef int r
    arg.index = op.arg[VRING_NUM_INDEX]
    arg.num = op.arg[VRING_NUM_NUM]
    if op.kind == OP_VRING_NUM:
        return call(CMD_SET_VRING_NUM, arg)
    if op.kind == OP_VRING_ADDR:
        at = op.arg[VRING_ADDR_AT]
        arg.desc = iova_of(op.arg[VRING_ADDR_DESC], op.arg[VRING_ADDR_OFF], at)
        arg.avail = iova_of(op.arg[VRING_ADDR_AVAIL], op.arg[VRING_ADDR_OFF], at)
        arg.used = iova_of(op.arg[VRING_ADDR_USED], op.arg[VRING_ADDR_OFF], at)
        arg.flags = op.arg[VRING_ADDR_FLAGS]
        return call(CMD_SET_VRING_ADDR, arg)
    if op.kind == OP_VRING_BASE:
        return call(CMD_SET_VRING_BASE, arg)
    if op.kind == OP_VRING_ENABLE:
        return call(CMD_SET_VRING_ENABLE, arg)
    if op.kind == OP_VRING_FD:
        arg.fd = <int>op.arg[VRING_FD_FD]
        return call(CMD_SET_VRING_KICK + <int>op.arg[VRING_FD_WHICH], arg)
    if op.kind == OP_SET_GROUP_ASID:
        return call(CMD_SET_GROUP_ASID, arg)
    if op.kind == OP_GET_VRING_BASE:
        r = call(CMD_GET_VRING_BASE, arg)
    else:
        r = call(CMD_GET_VRING_GROUP + <int>op.arg[GET_VRING_WHAT], arg)
    if r == 0:
        obs(b"num", arg.num)
    return r


cdef int op_ioctl(const vf_op* op, IoctlArg* arg) noexcept nogil:
    cdef uint32_t nr = op.arg[IOCTL_NR]
    arg.null = op.arg[IOCTL_NULL] != 0
    arg.index = op.arg[IOCTL_INDEX]
    if nr == IOCTL_NR_SET_MEM_TABLE:
        return call(CMD_SET_MEM_TABLE, arg)
    if nr == IOCTL_NR_SET_LOG_BASE:
        return call(CMD_SET_LOG_BASE, arg)
    if nr == IOCTL_NR_SET_LOG_FD:
        return call(CMD_SET_LOG_FD, arg)
    if nr == IOCTL_NR_SET_VRING_BUSYLOOP:
        return call(CMD_SET_VRING_BUSYLOOP, arg)
    return call(CMD_UNKNOWN, arg)


cdef int op_doorbell(const vf_op* op) noexcept nogil:
    cdef int r
    if op.kind == OP_RING_DOORBELL:
        return vhost_vdpa_fault(op.arg[RING_DOORBELL_UPAGE])
    r = vhost_vdpa_mmap(op.arg[MMAP_DOORBELL_PGOFF], op.arg[MMAP_DOORBELL_NPAGES],
                        op.arg[MMAP_DOORBELL_PRIVATE] == 0, op.arg[MMAP_DOORBELL_READABLE] != 0,
                        op.arg[MMAP_DOORBELL_UPAGE])
    judge_mmap(op.arg[MMAP_DOORBELL_PGOFF], op.arg[MMAP_DOORBELL_NPAGES],
               op.arg[MMAP_DOORBELL_PRIVATE] == 0, op.arg[MMAP_DOORBELL_READABLE] != 0,
               op.arg[MMAP_DOORBELL_UPAGE], r)
    return r


cdef int op_irq(const vf_op* op) noexcept nogil:
    """A callback of the device, in two steps."""
    cdef uint32_t q = op.arg[IRQ_BEGIN_INDEX]
    cdef bint config = op.arg[IRQ_BEGIN_WHICH] == IRQ_BEGIN_WHICH_CONFIG
    if not config and q >= vdpa.nvqs:
        return -ENOENT
    if op.kind == OP_IRQ_BEGIN:
        return config_cb_begin() if config else vq_cb_begin(q)
    if not (C_config.running if config else C_vqs[q].running):
        return -ENOENT
    if config:
        config_cb_end()
    else:
        vq_cb_end(q)
    return 0


cdef int op_close_fd(int e) noexcept nogil:
    if not E_fds[e].open:
        return -EBADF
    E_fds[e].open = False
    JN.open[e] = False
    eventfd_ctx_put(e, b"op_close_fd:put")
    return 0


cdef int op_device(const vf_op* op) noexcept nogil:
    """The device comes and goes, as with `vdpa dev add` and `del`."""
    cdef int r
    # on a real system this takes time, in which the device works
    obs(b"pending", sim_net.work_pending)
    if op.kind == OP_DEV_DEL:
        if not vdpa.exists or v.removing:
            return -ENODEV
        vdpa_dev_del()
        return 0
    if vdpa.exists:
        return -EEXIST
    r = vdpa_dev_add()
    judge_dev_add(r)
    return r


cdef int op_node(const vf_op* op) noexcept nogil:
    """Calls on the open node."""
    cdef IoctlArg arg
    if not J.opened:
        return -EBADF
    if op.kind == OP_CLOSE:
        return op_close()
    memset(&arg, 0, sizeof(arg))
    if (op.kind == OP_SET_OWNER or op.kind == OP_SET_BACKEND_FEATURES
            or op.kind == OP_SET_STATUS or op.kind == OP_SET_FEATURES
            or op.kind == OP_CONFIG_CALL or op.kind == OP_SUSPEND or op.kind == OP_RESUME):
        return op_set(op, &arg)
    if op.kind == OP_GET:
        return op_get(op, &arg)
    if op.kind == OP_GET_CONFIG or op.kind == OP_SET_CONFIG:
        return op_config(op, &arg)
    if op.kind == OP_IOCTL:
        return op_ioctl(op, &arg)
    if op.kind == OP_MMAP_DOORBELL or op.kind == OP_RING_DOORBELL:
        return op_doorbell(op)
    if op.kind == OP_IRQ_BEGIN or op.kind == OP_IRQ_END:
        return op_irq(op)
    if op.kind < OP_UPDATE:
        return op_vring(op, &arg)
    if op.kind == OP_UPDATE:
        return op_update(op)
    if op.kind == OP_INVALIDATE:
        return op_invalidate(op)
    if op.kind == OP_BATCH_BEGIN:
        return op_batch(op.arg[BATCH_BEGIN_ASID], op.arg[BATCH_BEGIN_VERSION],
                        op.arg[BATCH_BEGIN_NPAGES], VHOST_IOTLB_BATCH_BEGIN)
    if op.kind == OP_BATCH_END:
        return op_batch(op.arg[BATCH_END_ASID], op.arg[BATCH_END_VERSION],
                        op.arg[BATCH_END_NPAGES], VHOST_IOTLB_BATCH_END)
    return op_write(op)


cdef int op_vduse_ioctl(VduseDev* dev, const vf_op* op) noexcept nogil:
    """An ioctl of the daemon, judged."""
    cdef uint32_t what = op.arg[VDUSE_IOCTL_WHAT], index = op.arg[VDUSE_IOCTL_INDEX]
    cdef uint32_t page = op.arg[VDUSE_IOCTL_PAGE] + (
        dev.bounce_pages if op.arg[VDUSE_IOCTL_BEHIND] else 0)
    cdef uint64_t start = iova_of(page, op.arg[VDUSE_IOCTL_OFF], UPDATE_AT_LOW)
    cdef uint64_t last = start + op.arg[VDUSE_IOCTL_LEN] - 1
    # entries without an address space are of API 0
    cdef uint32_t asid = op.arg[VDUSE_IOCTL_ASID] if vdpa.nas > 1 else 0
    cdef uint32_t mode = 0
    cdef Seg entry
    cdef int r
    if not dev.connected:
        return -EBADF
    if what == VDUSE_IOCTL_WHAT_GET_FD:
        r = vduse_iotlb_get_fd(dev, asid, start, last, &entry, &mode)
        judge_vduse_get_fd(dev, asid, start, last, &entry, r)
        if r == 0:
            judge_vduse_fd(&entry, mode)
    elif what == VDUSE_IOCTL_WHAT_GET_INFO:
        r = vduse_iotlb_get_info(dev, asid, start, last, &entry)
        judge_vduse_get_fd(dev, asid, start, last, &entry, r)
        if r == 0:
            # VDUSE_IOVA_CAP_UMEM
            obs(b"capability", dev.bounce_map and entry.start == 0)
    elif what == VDUSE_IOCTL_WHAT_GET_FEATURES:
        r = -EPERM if dev.broken else 0
        judge_vduse_ioctl(dev, True, r)
        obs(b"features", <int64_t>dev.driver_features)
    elif what == VDUSE_IOCTL_WHAT_SET_CONFIG:
        r = vduse_dev_set_config(dev, op.arg[VDUSE_IOCTL_OFF], op.arg[VDUSE_IOCTL_LEN],
                                 <uint8_t>index)
        judge_vduse_ioctl(dev, op.arg[VDUSE_IOCTL_OFF] <= VDUSE_CONFIG_SIZE
                          and op.arg[VDUSE_IOCTL_LEN] != 0
                          and op.arg[VDUSE_IOCTL_LEN] + op.arg[VDUSE_IOCTL_OFF]
                          <= VDUSE_CONFIG_SIZE, r)
    elif what == VDUSE_IOCTL_WHAT_VQ_SETUP:
        r = vduse_vq_setup(dev, index, op.arg[VDUSE_IOCTL_LEN], op.arg[VDUSE_IOCTL_ASID])
        judge_vduse_vq_setup(dev, index, op.arg[VDUSE_IOCTL_ASID], r)
    elif what == VDUSE_IOCTL_WHAT_VQ_GET_INFO:
        r = vduse_vq_get_info(dev, index)
        judge_vduse_ioctl(dev, index < vdpa.nvqs, r)
    elif what == VDUSE_IOCTL_WHAT_VQ_SETUP_KICKFD:
        r = vduse_kickfd_setup(dev, index)
        judge_vduse_ioctl(dev, index < vdpa.nvqs, r)
    elif what == VDUSE_IOCTL_WHAT_INJECT_CONFIG_IRQ:
        r = vduse_inject_config_irq(dev)
        judge_vduse_irq(dev, True, r)
    else:
        r = vduse_vq_inject_irq(dev, index)
        judge_vduse_irq(dev, index < vdpa.nvqs, r)
    return r


cdef int op_vduse_file(VduseDev* dev, const vf_op* op) noexcept nogil:
    """The daemon's file, the control device, and the driver of the kernel."""
    cdef uint32_t what = op.arg[VDUSE_FILE_WHAT]
    cdef int r = 0
    if what == VDUSE_FILE_WHAT_OPEN:
        return vduse_dev_open(dev, op.arg[VDUSE_FILE_RACE] != 0)
    if what == VDUSE_FILE_WHAT_CREATE:
        return vduse_create_dev(dev)
    if what == VDUSE_FILE_WHAT_DESTROY:
        return vduse_destroy_dev(dev)
    if what == VDUSE_FILE_WHAT_ATTACH:
        # a daemon that did not say how large each ring can be has no device yet
        if dev.obj == 0 or not vduse_dev_is_ready(dev):
            return -EINVAL
        r = vdev_add(dev)
        if r == 0:
            # the driver begins with a reset, whatever comes of it
            vduse_vdpa_reset(dev)
            judge_bounce_reset(dev)
        return r
    if what == VDUSE_FILE_WHAT_CLOSE:
        if not dev.connected:
            return -EBADF
        judge_vduse_close(dev)
        vduse_dev_release(dev)
        judge_vduse_closed(dev)
        return 0
    # the node's device stays until the process ends
    if dev == &V_devs[0]:
        return -EBUSY
    if dev.vdev == 0:
        return -ENODEV
    while thread_leave(dev, True) == 0:
        pass
    r = vduse_vdpa_reset(dev)
    judge_bounce_reset(dev)
    vduse_vdpa_free(dev)
    return r


cdef int op_bounce(VduseDev* dev, const vf_op* op) noexcept nogil:
    """A driver of the kernel maps part of a page, or the daemon reads a byte of it."""
    cdef int page = <int>op.arg[BOUNCE_PAGE], r
    cdef uint32_t off = op.arg[BOUNCE_OFF]
    if op.arg[BOUNCE_WHAT] == BOUNCE_WHAT_READ:
        if not dev.connected:
            return -EBADF
        r = vduse_domain_mmap_fault(dev, page, off)
        judge_bounce(page, off, r)
        return r
    if dev.vdev == 0:
        return -ENODEV
    if op.arg[BOUNCE_WHAT] == BOUNCE_WHAT_UNMAP:
        vduse_domain_unmap_page(dev, page)
        return 0
    r = vduse_domain_map_page(dev, page, off, min(op.arg[BOUNCE_LEN], PAGE_SIZE - off),
                              op.arg[BOUNCE_TO_DEVICE] != 0)
    judge_bounce_map(dev, r)
    return r


cdef int op_coherent(VduseDev* dev, const vf_op* op) noexcept nogil:
    """A driver of the kernel allocates memory that it shares with the daemon, which reads it."""
    cdef int page = <int>op.arg[COHERENT_PAGE], r
    cdef uint32_t what = op.arg[COHERENT_WHAT], off = op.arg[COHERENT_OFF]
    if what == COHERENT_WHAT_READ:
        if not dev.connected:
            return -EBADF
        r = vduse_domain_get_coherent_page(dev, page, off)
        judge_coherent_read(page, off, r)
        return r
    if dev.vdev == 0:
        return -ENODEV
    if what == COHERENT_WHAT_WRITE:
        return driver_writes(page, off, op.arg[COHERENT_LEN])
    if what == COHERENT_WHAT_FREE:
        r = vduse_dev_free_coherent(dev, page)
        judge_coherent_free(page, r)
        return r
    r = vduse_dev_alloc_coherent(dev, page, op.arg[COHERENT_LEN], op.arg[COHERENT_ZERO] != 0)
    judge_coherent_alloc(dev, page, op.arg[COHERENT_LEN], r)
    return r


cdef int op_umem(VduseDev* dev, const vf_op* op) noexcept nogil:
    """The daemon gives its memory for the bounce pages, or takes it back."""
    cdef uint64_t iova = <uint64_t>op.arg[UMEM_PAGE] << PAGE_SHIFT
    cdef uint64_t uaddr = UAREA_BASE + (<uint64_t>op.arg[UMEM_UPAGE] << PAGE_SHIFT)
    cdef uint32_t npages = op.arg[UMEM_NPAGES]
    cdef int r
    uaddr += op.arg[UMEM_UOFF]
    if not dev.connected:
        return -EBADF
    if op.arg[UMEM_WHAT] == UMEM_WHAT_DEREG:
        r = vduse_dev_dereg_umem(dev, iova, npages)
        judge_umem_dereg_call(dev, iova, npages, r)
        return r
    r = vduse_dev_reg_umem(dev, iova, uaddr, npages)
    judge_umem_reg(dev, iova, uaddr, npages, r)
    return r


cdef int op_driver_config(VduseDev* dev, const vf_op* op) noexcept nogil:
    """vdpa_get_config() by a driver of the kernel, into a buffer of its own."""
    cdef uint8_t buf[256]
    cdef uint8_t known[256]
    cdef uint32_t length = op.arg[DRIVER_CONFIG_LEN]
    if dev.vdev == 0:
        return -ENODEV
    memset(known, 0, sizeof(known))
    memset(buf, 0, sizeof(buf))
    vduse_vdpa_get_config(dev, op.arg[DRIVER_CONFIG_OFF], buf, known, length)
    judge_driver_config(known, length)
    return 0


cdef int op_vduse(const vf_op* op) noexcept nogil:
    """The daemon, and what else there is of VDUSE; the first argument is the device's number."""
    cdef uint32_t request_id = 0
    cdef VduseDev* dev
    if op.kind == OP_DAEMON:
        V_daemon_set(<int>op.arg[DAEMON_MODE])
        return 0
    if vdpa.parent != PARENT_VDUSE or not vdpa.exists:
        return -ENODEV
    if op.kind == OP_BOUNCE:
        return op_bounce(&V_devs[1], op)
    if op.kind == OP_UMEM:
        return op_umem(&V_devs[1], op)
    if op.kind == OP_COHERENT:
        return op_coherent(&V_devs[1], op)
    dev = &V_devs[op.arg[0]]
    if op.kind == OP_VDUSE_READ:
        if not dev.connected:
            return -EBADF
        return daemon_read(dev, op.arg[VDUSE_READ_EFAULT] != 0, <int>op.arg[VDUSE_READ_MEANWHILE],
                           &request_id)
    if op.kind == OP_VDUSE_REPLY:
        if not dev.connected:
            return -EBADF
        return daemon_reply(dev, judge_taken(dev, <int>op.arg[VDUSE_REPLY_WHICH]),
                            <int>op.arg[VDUSE_REPLY_RESULT])
    if op.kind == OP_VDUSE_REQUEST:
        if dev.vdev == 0:
            return -ENODEV
        return vduse_dev_request(dev, <int>op.arg[VDUSE_REQUEST_TYPE])
    if op.kind == OP_VDUSE_LEAVE:
        return thread_leave(dev, op.arg[VDUSE_LEAVE_KILLED] != 0)
    if op.kind == OP_VDUSE_IOCTL:
        return op_vduse_ioctl(dev, op)
    if op.kind == OP_VDUSE_FILE:
        return op_vduse_file(dev, op)
    return op_driver_config(dev, op)


include "driver.pxi"


# ---- entry -------------------------------------------------------------------------------------

cdef void target_boot() noexcept nogil:
    cdef uint32_t memlock = P.boot[BOOT_MEMLOCK]
    state_reset()
    driver_reset()
    mm_reset(65536 if memlock == BOOT_MEMLOCK_PLENTY else 16 if memlock == BOOT_MEMLOCK_FEW else
             600 if memlock == BOOT_MEMLOCK_MEDIUM else 0, P.boot[BOOT_FOREIGN])
    judge_boot()
    judge_begin_op()
    vdpasim_blk_boot()
    obs(b"ret", vdpa_dev_add())
    if P.boot[BOOT_MEMORY] != BOOT_MEMORY_NONE:
        mm_map(0, 64, MMAP_KIND_SHARED if P.boot[BOOT_MEMORY] == BOOT_MEMORY_SHARED else
               MMAP_KIND_ANON, False,
               MMAP_PATTERN_SCATTERED if P.boot[BOOT_MEMORY] == BOOT_MEMORY_SCATTERED else
               MMAP_PATTERN_CONTIGUOUS, 0, 0)
    if vdpa.exists:
        judge_after_op()


cdef inline void obs_memory() noexcept nogil:
    """Pages that the process is charged for, page pins, as /proc tells them."""
    obs(b"pinned", mm.pinned_vm - <int64_t>mm.foreign)
    obs(b"pins", mm.pins)


cdef inline void event_node() noexcept nogil:
    """Feedback of who signals whom: does the device run, which callbacks are on their way, and was
    their eventfd replaced meanwhile?"""
    cdef uint32_t state = (ops_get_status() & VIRTIO_CONFIG_S_DRIVER_OK) != 0
    state = state * 2 + (v.config_ctx != 0)
    state = state * 2 + C_config.running
    state = state * 2 + C_config.running * (C_config.ctx != v.config_ctx)
    state = state * 2 + (v_vqs[0].call_ctx != 0)
    state = state * 2 + C_vqs[0].running
    state = state * 2 + C_vqs[0].running * (C_vqs[0].ctx != v_vqs[0].call_ctx)
    event(0xC000 + state * 4 + <uint32_t>vdpa.parent)


cdef void target_op(const vf_op* op) noexcept nogil:
    cdef int r
    judge_begin_op()
    if op.kind == OP_MMAP:
        r = mm_map(<int>op.arg[MMAP_UPAGE], <int>op.arg[MMAP_NPAGES], <int>op.arg[MMAP_KIND],
                   op.arg[MMAP_READONLY] != 0, <int>op.arg[MMAP_PATTERN], <int>op.arg[MMAP_FILE],
                   <int>op.arg[MMAP_PGOFF])
    elif op.kind == OP_MUNMAP:
        r = mm_unmap(<int>op.arg[MUNMAP_UPAGE], <int>op.arg[MUNMAP_NPAGES])
    elif op.kind == OP_RLIMIT:
        mm.rlimit = op.arg[RLIMIT_PAGES]
        r = 0
    elif op.kind == OP_TASK:
        mm.who = <int>op.arg[TASK_WHO]
        r = 0
    elif op.kind == OP_OPEN:
        r = op_open()
    elif op.kind == OP_CLOSE_FD:
        r = op_close_fd(1 + <int>op.arg[CLOSE_FD_FD])
    elif op.kind == OP_DEV_DEL or op.kind == OP_DEV_ADD:
        r = op_device(op)
    elif op.kind >= OP_BRING_UP and op.kind < OP_DAEMON:
        r = op_ring(op)
    elif op.kind >= OP_DAEMON:
        r = op_vduse(op)
        event(0x8000 + <uint32_t>(op.kind - OP_DAEMON) * 256 + (r == 0) * 128
              + V_devs[1].connected * 64 + (V_devs[1].vdev != 0) * 32 + V_devs[0].broken * 16
              + min(<uint32_t>V_devs[0].n_send, 3) * 4 + min(<uint32_t>V_devs[0].n_recv, 3))
    else:
        r = op_node(op)
        if op.kind < OP_UPDATE:
            event_node()
    if unlikely(W.faults_fired):
        # how far the call came
        event(0x10000 + <uint32_t>op.kind * 16 + min(<uint32_t>W.fault_seen, <uint32_t>15))
    obs(b"ret", r)
    obs_memory()


cdef void target_after_op() noexcept nogil:
    if vdpa.exists:
        judge_after_op()


cdef void target_shutdown() noexcept nogil:
    """The process ends: the node is closed, then the device goes away."""
    if not vdpa.exists:
        return
    judge_begin_op()
    if J.opened:
        op_close()
    obs_memory()
    obs_contents(FRAMES_MAX)
    obs(b"e0", E_fds[1].signals)
    obs(b"e1", E_fds[2].signals)
    obs(b"e2", E_fds[3].signals)
    if vdpa.exists:
        judge_after_op()
        vdpa_dev_del()


include "rig.pxi"
include "../../sim/entry.pxi"
