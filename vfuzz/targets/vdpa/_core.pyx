# SPDX-License-Identifier: GPL-2.0-or-later
"""vdpa, compiled: the process and its memory, vhost-vdpa, the parents, the judge."""

include "_gen.pxi"

cdef enum:
    CHECK_HANG = CHECK_V32      # hook of sim/world.pxi

include "../../sim/world.pxi"
include "model/state.pxi"
include "model/ring_state.pxi"
include "oracle.pxi"
include "oracle_node.pxi"
include "oracle_vduse.pxi"
include "oracle_ring.pxi"
include "model/mm.pxi"
include "model/iotlb.pxi"
include "model/vdpa.pxi"
include "model/vringh.pxi"
include "model/vdpa_sim.pxi"
include "model/vdpa_sim_net.pxi"
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


include "driver.pxi"


# ---- entry -------------------------------------------------------------------------------------

cdef void target_boot() noexcept nogil:
    cdef uint32_t memlock = P.boot[BOOT_MEMLOCK]
    state_reset()
    mm_reset(65536 if memlock == BOOT_MEMLOCK_PLENTY else 16 if memlock == BOOT_MEMLOCK_FEW else
             600 if memlock == BOOT_MEMLOCK_MEDIUM else 0, P.boot[BOOT_FOREIGN])
    judge_boot()
    judge_begin_op()
    vdpa_dev_add()
    if P.boot[BOOT_MEMORY] != BOOT_MEMORY_NONE:
        mm_map(0, 64, MMAP_KIND_SHARED if P.boot[BOOT_MEMORY] == BOOT_MEMORY_SHARED else
               MMAP_KIND_ANON, False,
               MMAP_PATTERN_SCATTERED if P.boot[BOOT_MEMORY] == BOOT_MEMORY_SCATTERED else
               MMAP_PATTERN_CONTIGUOUS, 0, 0)
    if vdpa.exists:
        judge_after_op()


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
    elif op.kind >= OP_BRING_UP:
        r = op_ring(op)
    else:
        r = op_node(op)
    obs(b"ret", r)


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
    if vdpa.exists:
        judge_after_op()
        vdpa_dev_del()


include "rig.pxi"
include "../../sim/entry.pxi"
