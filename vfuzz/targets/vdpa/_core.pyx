# SPDX-License-Identifier: GPL-2.0-or-later
"""vdpa, compiled: the process and its memory, vhost-vdpa, the parents, the judge."""

include "_gen.pxi"

cdef enum:
    CHECK_HANG = CHECK_V32      # hook of sim/world.pxi

include "../../sim/world.pxi"
include "model/state.pxi"
include "oracle.pxi"
include "oracle_vduse.pxi"
include "model/mm.pxi"
include "model/iotlb.pxi"
include "model/vdpa.pxi"
include "model/vdpa_sim.pxi"
include "model/va.pxi"
include "model/iotlb_msg.pxi"
include "model/vhost_vdpa.pxi"

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
    if not vdpa.exists:
        return -ENODEV
    r = vhost_vdpa_open()
    judge_open(r)
    return r


cdef int op_close() noexcept nogil:
    J.asid = NAS_MAX
    vhost_vdpa_release()
    judge_close()
    return 0


cdef int op_node(const vf_op* op) noexcept nogil:
    """Calls on the open node."""
    cdef int r
    if not J.opened:
        return -EBADF
    if op.kind == OP_CLOSE:
        return op_close()
    if op.kind == OP_SET_OWNER:
        lock(L_DEV, b"vhost_vdpa_unlocked_ioctl:lock")
        r = vhost_dev_set_owner()
        if r == 0:
            vhost_vdpa_bind_mm()
        unlock(L_DEV, b"vhost_vdpa_unlocked_ioctl:unlock")
        judge_owner(r)
        return r
    if op.kind == OP_SET_BACKEND_FEATURES:
        r = vhost_vdpa_set_backend_features(op.arg[SET_BACKEND_FEATURES_BITS])
        judge_backend_features(op.arg[SET_BACKEND_FEATURES_BITS], vhost_vdpa_backend_features(), r)
        return r
    if op.kind == OP_SET_STATUS:
        lock(L_DEV, b"vhost_vdpa_unlocked_ioctl:lock")
        r = vhost_vdpa_set_status(<uint8_t>op.arg[SET_STATUS_BITS])
        unlock(L_DEV, b"vhost_vdpa_unlocked_ioctl:unlock")
        return r
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


# ---- entry -------------------------------------------------------------------------------------

cdef void target_boot() noexcept nogil:
    cdef uint32_t memlock = P.boot[BOOT_MEMLOCK]
    state_reset()
    mm_reset(65536 if memlock == BOOT_MEMLOCK_PLENTY else 16 if memlock == BOOT_MEMLOCK_FEW else
             600 if memlock == BOOT_MEMLOCK_MEDIUM else 0, P.boot[BOOT_FOREIGN])
    judge_boot()
    judge_begin_op()
    vdpa_create()
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
        judge_after_op()
    vdpasim_free()
    judge_removed()


include "rig.pxi"
include "../../sim/entry.pxi"
