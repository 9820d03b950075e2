# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The rig's primitives of vdpa: tables, user memory, pins, locks, objects, messages, the judge.

Tables, without a device, are the numbered places `table`; they begin as vhost-vdpa's own, without a
lock. An address is a number of 64 bits, written as the signed one that has the same bits. Without a
program there is no device, and a process with no memory that may lock 65536 pages.
"""
include "../../sim/rig.pxi"

cdef enum:
    RIG_TABLES = 2
    RIG_PINS_MAX = 1024

cdef Iotlb X_tables[RIG_TABLES]
cdef int32_t X_pinned[RIG_PINS_MAX]


cdef void rig_reset(bint empty) noexcept nogil:
    cdef int i
    if empty:
        memset(P.boot, 0, sizeof(P.boot))
        state_reset()
        mm_reset(65536, 0)
        judge_boot()
        judge_begin_op()
    for i in range(RIG_TABLES):
        vhost_iotlb_init(&X_tables[i], IOTLB_ENTRIES, 0, L_NONE)


# ---- tables ----

cdef int64_t rig_iotlb_init(const int64_t* a) noexcept nogil:
    vhost_iotlb_init(&X_tables[a[0]], <uint32_t>a[1], <uint32_t>a[2], <uint32_t>a[3])
    return 0


cdef int64_t rig_iotlb_add(const int64_t* a) noexcept nogil:
    return vhost_iotlb_add_range_ctx(&X_tables[a[0]], <uint64_t>a[1], <uint64_t>a[2],
                                     <uint64_t>a[3], <uint32_t>a[4], 0)


cdef int64_t rig_iotlb_del(const int64_t* a) noexcept nogil:
    vhost_iotlb_del_range(&X_tables[a[0]], <uint64_t>a[1], <uint64_t>a[2])
    return X_tables[a[0]].nmaps


cdef int64_t rig_iotlb_first(const int64_t* a) noexcept nogil:
    return vhost_iotlb_itree_first(&X_tables[a[0]], <uint64_t>a[1], <uint64_t>a[2])


cdef int64_t rig_iotlb_free(const int64_t* a) noexcept nogil:
    vhost_iotlb_map_free(&X_tables[a[0]], <int>a[1], X_SITE)
    return 0


cdef int64_t rig_iotlb_reset(const int64_t* a) noexcept nogil:
    vhost_iotlb_reset(&X_tables[a[0]])
    return 0


cdef int64_t rig_iotlb_at(const int64_t* a) noexcept nogil:
    return X_tables[a[0]].tree[a[1]] if a[1] < X_tables[a[0]].n else 0


cdef int64_t rig_judge_table(const int64_t* a) noexcept nogil:
    judge_table(&X_tables[a[0]], 0, a[1] != 0)
    return 0


# ---- memory and pins ----

cdef int64_t rig_mm_map(const int64_t* a) noexcept nogil:
    return mm_map(<int>a[0], <int>a[1], <int>a[2], a[3] != 0, <int>a[4], <int>a[5], <int>a[6])


cdef int64_t rig_mm_unmap(const int64_t* a) noexcept nogil:
    return mm_unmap(<int>a[0], <int>a[1])


cdef int64_t rig_pin(const int64_t* a) noexcept nogil:
    return pin_user_pages(UAREA_BASE + (<uint64_t>a[0] << PAGE_SHIFT), <int>a[1], a[2] != 0,
                          X_pinned, X_SITE)


cdef int64_t rig_pinned(const int64_t* a) noexcept nogil:
    return X_pinned[a[0]]


cdef int64_t rig_unpin(const int64_t* a) noexcept nogil:
    unpin_user_page(<int>a[0], X_SITE)
    return mm_frames[a[0]].pins


cdef int64_t rig_dirty(const int64_t* a) noexcept nogil:
    set_page_dirty_lock(<int>a[0], X_SITE)
    return 0


cdef int64_t rig_live(const int64_t* a) noexcept nogil:
    return frame_live(<int>a[0])


cdef int64_t rig_pfn(const int64_t* a) noexcept nogil:
    return pfn_to_page(<uint64_t>a[0], X_SITE)


cdef int64_t rig_map_file_put(const int64_t* a) noexcept nogil:
    map_file_put(<int>a[0], X_SITE)
    return 0


# ---- locks and objects ----

cdef int64_t rig_lock(const int64_t* a) noexcept nogil:
    lock(<uint32_t>a[0], X_SITE)
    return L_held


cdef int64_t rig_unlock(const int64_t* a) noexcept nogil:
    unlock(<uint32_t>a[0], X_SITE)
    return L_held


cdef int64_t rig_held(const int64_t* a) noexcept nogil:
    lockdep_assert_held(<uint32_t>a[0], X_SITE)
    return L_held


cdef int64_t rig_kmalloc(const int64_t* a) noexcept nogil:
    return kmalloc(b"thing", <int>a[0], X_SITE)


cdef int64_t rig_kfree(const int64_t* a) noexcept nogil:
    kfree(<int>a[0], X_SITE)
    return 0


cdef int64_t rig_check_obj(const int64_t* a) noexcept nogil:
    check_obj(<int>a[0], X_SITE)
    return 0


# ---- the device and its judge ----

cdef int64_t rig_message(const int64_t* a) noexcept nogil:
    """write(2) of a v2 message, judged; what stands in an op of a program is a part of this."""
    cdef VhostIotlbMsg msg
    msg.type = <uint8_t>a[0]
    msg.iova = <uint64_t>a[2]
    msg.size = <uint64_t>a[3]
    msg.uaddr = <uint64_t>a[4]
    msg.perm = <uint8_t>a[5]
    judge_begin_op()
    return send(SIZEOF_VHOST_MSG, VHOST_IOTLB_MSG_V2, <uint32_t>a[1], &msg)


cdef int64_t rig_space(const int64_t* a) noexcept nogil:
    return asid_to_as(<uint32_t>a[0])


cdef int64_t rig_space_alloc(const int64_t* a) noexcept nogil:
    return vhost_vdpa_alloc_as(<uint32_t>a[0])


cdef int64_t rig_space_map(const int64_t* a) noexcept nogil:
    """The mapping of a space that overlaps [start, last], 0 if none."""
    cdef int place = tree_first(&A_as[a[0]].iotlb, 0, <uint64_t>a[1], <uint64_t>a[2])
    return A_as[a[0]].iotlb.tree[place] if place >= 0 else 0


cdef int64_t rig_device_map(const int64_t* a) noexcept nogil:
    """The same of the device's table of an address space."""
    cdef int place = tree_first(&vdpasim_iommu[a[0]], 0, <uint64_t>a[1], <uint64_t>a[2])
    return vdpasim_iommu[a[0]].tree[place] if place >= 0 else 0


cdef int64_t rig_set_map(const int64_t* a) noexcept nogil:
    return ops_set_map(<uint32_t>a[0], &A_as[asid_to_as(<uint32_t>a[0])].iotlb)


cdef int64_t rig_dma_map(const int64_t* a) noexcept nogil:
    return ops_dma_map(<uint32_t>a[0], <uint64_t>a[1], <uint64_t>a[2], <uint64_t>a[3],
                       <uint32_t>a[4], 0)


cdef int64_t rig_dma_unmap(const int64_t* a) noexcept nogil:
    return ops_dma_unmap(<uint32_t>a[0], <uint64_t>a[1], <uint64_t>a[2])


cdef int64_t rig_judge_begin_op(const int64_t* a) noexcept nogil:
    judge_begin_op()
    return 0


cdef int64_t rig_judge_push(const int64_t* a) noexcept nogil:
    """A push of address space a[0] in a call for a[1]."""
    J.asid = <uint32_t>a[1]
    judge_push(<uint32_t>a[0], 0)
    return J.pushes


cdef int64_t rig_judge_handler(const int64_t* a) noexcept nogil:
    judge_handler(<int>a[0])
    return 0


cdef int64_t rig_judge_message(const int64_t* a) noexcept nogil:
    """What the judge says of a message for `size` bytes at address 0 if write() returns `ret`, and
    the table was pushed so often meanwhile."""
    cdef VhostIotlbMsg msg
    memset(&msg, 0, sizeof(msg))
    msg.type = <uint8_t>a[0]
    msg.size = <uint64_t>a[3]
    judge_begin_op()
    judge_message_begin(<uint32_t>a[2], VHOST_IOTLB_MSG_V2, <uint32_t>a[1], &msg)
    J.pushes = <int>a[4]
    judge_message_end(&msg, <int>a[5])
    return 0


cdef int64_t rig_judge_open(const int64_t* a) noexcept nogil:
    judge_open(<int>a[0])
    return 0


cdef int64_t rig_judge_owner(const int64_t* a) noexcept nogil:
    judge_owner(<int>a[0])
    return 0


cdef int64_t rig_judge_backend_features(const int64_t* a) noexcept nogil:
    judge_backend_features(<uint64_t>a[0], <uint64_t>a[1], <int>a[2])
    return 0


cdef int64_t rig_judge_close(const int64_t* a) noexcept nogil:
    judge_close()
    return 0


cdef int64_t rig_judge_removed(const int64_t* a) noexcept nogil:
    judge_removed()
    return 0


# ---- the node ----

cdef int64_t rig_judge_ioctl(const int64_t* a) noexcept nogil:
    """What the judge says of an ioctl that returns `ret`. The number `value` stands for all three
    addresses of a ring, for features, and for a length."""
    cdef IoctlArg arg
    memset(&arg, 0, sizeof(arg))
    arg.index = <uint32_t>a[2]
    arg.num = <uint32_t>a[3]
    arg.desc = <uint64_t>a[4]
    arg.avail = arg.desc
    arg.used = arg.desc
    arg.len = <uint32_t>a[4]
    arg.flags = <uint32_t>a[5]
    arg.fd = <int>a[6]
    judge_ioctl(<int>a[0], &arg, <int>a[1])
    return 0


cdef int64_t rig_judge_mmap(const int64_t* a) noexcept nogil:
    judge_mmap(<uint32_t>a[0], 1, True, False, 0, <int>a[1])
    return 0


cdef int64_t rig_judge_dev_add(const int64_t* a) noexcept nogil:
    judge_dev_add(<int>a[0])
    return 0


cdef int64_t rig_eventfd_put(const int64_t* a) noexcept nogil:
    eventfd_ctx_put(<int>a[0], X_SITE)
    return E_fds[a[0]].refs


cdef int64_t rig_eventfd_signal(const int64_t* a) noexcept nogil:
    eventfd_signal(<int>a[0], X_SITE)
    return E_fds[a[0]].signals


cdef int64_t rig_minor_free(const int64_t* a) noexcept nogil:
    ida_free(X_SITE)
    return 0


cdef int64_t rig_iommu_unmap(const int64_t* a) noexcept nogil:
    iommu_unmap(v.domain, <uint64_t>a[0], <uint64_t>a[1])
    return iommu_domain.nmaps


# ---- all of them ----

include "rig_vduse.pxi"


cdef void _rig_add_tables():
    _rig_add("iotlb_init table limit flags lock", rig_iotlb_init)
    _rig_add("iotlb_add table start last pa perm -> 0 or -errno", rig_iotlb_add)
    _rig_add("iotlb_del table start last -> mappings left", rig_iotlb_del)
    _rig_add("iotlb_first table start last -> map", rig_iotlb_first)
    _rig_add("iotlb_free table map", rig_iotlb_free)
    _rig_add("iotlb_reset table", rig_iotlb_reset)
    _rig_add("iotlb_at table place -> map, 0 behind the last", rig_iotlb_at)
    _rig_add("judge_table table device", rig_judge_table)
    _rig_field("map.start", &I_maps[0].start, 8, MAPS_MAX, sizeof(Map))
    _rig_field("map.last", &I_maps[0].last, 8, MAPS_MAX, sizeof(Map))
    _rig_field("map.size", &I_maps[0].size, 8, MAPS_MAX, sizeof(Map))
    _rig_field("map.addr", &I_maps[0].addr, 8, MAPS_MAX, sizeof(Map))
    _rig_field("map.perm", &I_maps[0].perm, 4, MAPS_MAX, sizeof(Map))
    _rig_field("map.next", &I_maps[0].next, 4, MAPS_MAX, sizeof(Map))
    _rig_field("table.head", &X_tables[0].head, 4, RIG_TABLES, sizeof(Iotlb))
    _rig_field("table.limit", &X_tables[0].limit, 4, RIG_TABLES, sizeof(Iotlb))
    _rig_field("table.n", &X_tables[0].n, 4, RIG_TABLES, sizeof(Iotlb))
    _rig_field("table.nmaps", &X_tables[0].nmaps, 4, RIG_TABLES, sizeof(Iotlb))


cdef void _rig_add_memory():
    _rig_add("mm_map upage npages kind readonly pattern file pgoff -> 0 or -errno", rig_mm_map)
    _rig_add("mm_unmap upage npages -> 0 or -errno", rig_mm_unmap)
    _rig_add("pin upage pins write -> pages pinned or -errno", rig_pin)
    _rig_add("pinned pins -> frame that the last pin gave there", rig_pinned)
    _rig_add("unpin frame -> pins", rig_unpin)
    _rig_add("dirty frame", rig_dirty)
    _rig_add("live frame -> is it there", rig_live)
    _rig_add("pfn pfn -> frame", rig_pfn)
    _rig_add("map_file_put record", rig_map_file_put)
    _rig_field("file.refs", &M.refs[MAP_FILE_VHOST][0], sizeof(int), FILES, sizeof(int))
    _rig_field("mm.pinned_vm", &mm.pinned_vm, sizeof(mm.pinned_vm))
    _rig_field("mm.pins", &mm.pins, sizeof(mm.pins))
    _rig_field("mm.n_frames", &mm.n_frames, sizeof(mm.n_frames))
    _rig_field("upage.frame", &mm_pages[0].frame, 2, UAREA_PAGES, sizeof(Upage))
    _rig_field("frame.mapcount", &mm_frames[0].mapcount, 2, FRAMES_MAX, sizeof(Frame))
    _rig_field("frame.pins", &mm_frames[0].pins, 2, FRAMES_MAX, sizeof(Frame))
    _rig_field("frame.wo", &mm_frames[0].wo, 2, FRAMES_MAX, sizeof(Frame))
    _rig_field("frame.dirty", &mm_frames[0].dirty, 1, FRAMES_MAX, sizeof(Frame))


cdef void _rig_add_device():
    _rig_add("lock lock -> locks held", rig_lock)
    _rig_add("unlock lock -> locks held", rig_unlock)
    _rig_add("held lock -> locks held", rig_held)
    _rig_add("kmalloc lifetime -> object", rig_kmalloc)
    _rig_add("kfree object", rig_kfree)
    _rig_add("check_obj object", rig_check_obj)
    _rig_add("message type asid iova size uaddr perm -> 72 or -errno", rig_message)
    _rig_add("space asid -> space, 0 if there is none", rig_space)
    _rig_add("space_alloc asid -> space, 0 if it cannot be", rig_space_alloc)
    _rig_add("space_map space start last -> map", rig_space_map)
    _rig_add("device_map device start last -> map", rig_device_map)
    _rig_add("set_map asid -> 0 or -errno", rig_set_map)
    _rig_add("dma_map asid iova size pa perm -> 0 or -errno", rig_dma_map)
    _rig_add("dma_unmap asid iova size -> 0 or -errno", rig_dma_unmap)
    _rig_field("space.id", &A_as[0].id, 4, AS_MAX, sizeof(VhostVdpaAs))
    _rig_field("space.live", &A_as[0].live, 1, AS_MAX, sizeof(VhostVdpaAs))
    _rig_field("space.nmaps", &A_as[0].iotlb.nmaps, 4, AS_MAX, sizeof(VhostVdpaAs))
    _rig_field("space.dirty", &A_as[0].iotlb.dirty, 1, AS_MAX, sizeof(VhostVdpaAs))
    _rig_field("device.nmaps", &vdpasim_iommu[0].nmaps, 4, NAS_MAX, sizeof(Iotlb))
    _rig_field("device.dirty", &vdpasim_iommu[0].dirty, 1, NAS_MAX, sizeof(Iotlb))
    _rig_field("device.mm_bound", &vdpasim.mm_bound, sizeof(int))
    _rig_field("v.in_batch", &v.in_batch, 1)
    _rig_field("v.batch_asid", &v.batch_asid, 4)
    _rig_field("v.mm", &v.mm, sizeof(v.mm))


cdef void _rig_add_node():
    _rig_add("judge_ioctl cmd ret index num value flags fd", rig_judge_ioctl)
    _rig_add("judge_mmap pgoff ret", rig_judge_mmap)
    _rig_add("judge_dev_add ret", rig_judge_dev_add)
    _rig_add("eventfd_put eventfd -> references", rig_eventfd_put)
    _rig_add("eventfd_signal eventfd -> signals", rig_eventfd_signal)
    _rig_add("minor_free", rig_minor_free)
    _rig_add("iommu_unmap iova size -> mappings left", rig_iommu_unmap)
    _rig_field("eventfd.refs", &E_fds[0].refs, sizeof(int), EVENTFDS + 1, sizeof(Eventfd))
    _rig_field("v.config_ctx", &v.config_ctx, sizeof(int))
    _rig_field("vq.kick", &v_vqs[0].kick, sizeof(int), NVQS_MAX, sizeof(VhostVirtqueue))
    _rig_field("vq.token", &v_vqs[0].token, sizeof(int), NVQS_MAX, sizeof(VhostVirtqueue))
    _rig_field("sim.status", &vdpasim.status, 1)
    _rig_field("sim.features", &vdpasim.features, 8)
    _rig_field("judge.touched", &JN.touched, 1)


# ---- rings ----

cdef int64_t rig_judge_fragment(const int64_t* a) noexcept nogil:
    """Of the first mapping in the device's table of address space 0."""
    judge_fragment(&sim_vqs[a[0]].vring, <uint64_t>a[1], <uint64_t>a[2], 1,
                   &I_maps[vdpasim_iommu[0].tree[0]])
    return 0


cdef int64_t rig_judge_copy(const int64_t* a) noexcept nogil:
    judge_copy(&sim_vqs[a[0]].vring, <uint64_t>a[1], <uint64_t>a[2], a[3] != 0, a[4] != 0)
    return 0


cdef int64_t rig_judge_putu16(const int64_t* a) noexcept nogil:
    judge_putu16(&sim_vqs[a[0]].vring, <uint64_t>a[1], <uint16_t>a[2], a[3] != 0)
    return 0


cdef int64_t rig_judge_getdesc(const int64_t* a) noexcept nogil:
    """A chain of the transmit or the receive queue."""
    cdef VdpasimVirtqueue* vq = &sim_vqs[a[0]]
    judge_getdesc(&vq.vring, &vq.out_iov if a[0] == VQ_TX else NULL,
                  NULL if a[0] == VQ_TX else &vq.in_iov, <uint16_t>a[1], <int>a[2])
    return 0


cdef int64_t rig_judge_pull(const int64_t* a) noexcept nogil:
    judge_pull(VQ_TX, a[0], sim_net.buffer, SIM_BUFFER)
    return JR.packet_len


cdef int64_t rig_judge_filter(const int64_t* a) noexcept nogil:
    judge_filter(a[0] != 0)
    return 0


cdef int64_t rig_judge_packet(const int64_t* a) noexcept nogil:
    judge_packet(sim_net.buffer, <uint64_t>a[0])
    return 0


cdef int64_t rig_judge_push_data(const int64_t* a) noexcept nogil:
    judge_push_data(<int>a[0], a[1], <uint64_t>a[2])
    return 0


cdef int64_t rig_judge_command(const int64_t* a) noexcept nogil:
    judge_command(<uint8_t>a[0])
    return 0


cdef int64_t rig_judge_used(const int64_t* a) noexcept nogil:
    judge_used(&sim_vqs[a[0]].vring, <uint64_t>a[1], <uint16_t>a[2], <uint32_t>a[3])
    return 0


cdef int64_t rig_judge_run_begin(const int64_t* a) noexcept nogil:
    judge_run_begin()
    return 0


cdef int64_t rig_judge_run_end(const int64_t* a) noexcept nogil:
    judge_run_end()
    return 0


cdef int64_t rig_judge_disk_range(const int64_t* a) noexcept nogil:
    judge_disk_range(<uint64_t>a[0], <uint64_t>a[1])
    return 0


cdef int64_t rig_judge_disk_read(const int64_t* a) noexcept nogil:
    judge_disk_read(<uint64_t>a[0], <uint64_t>a[1], sim_blk.request)
    return 0


cdef int64_t rig_judge_disk_write(const int64_t* a) noexcept nogil:
    judge_disk_write(<uint64_t>a[0], <uint64_t>a[1], sim_blk.request, a[2])
    return 0


cdef int64_t rig_judge_request_done(const int64_t* a) noexcept nogil:
    judge_request_done()
    return 0


cdef void _rig_add_disk():
    _rig_add("judge_disk_range offset n", rig_judge_disk_range)
    _rig_add("judge_disk_read offset request", rig_judge_disk_read)
    _rig_add("judge_disk_write offset request ret", rig_judge_disk_write)
    _rig_add("judge_request_done", rig_judge_request_done)
    _rig_field("disk.request", &sim_blk.request[0], 1, REQUEST_MAX, 1)
    _rig_field("judge.answer", &JD.answer, sizeof(int))


cdef void _rig_add_rings():
    _rig_add("judge_fragment queue addr pa", rig_judge_fragment)
    _rig_add("judge_copy queue addr len write done", rig_judge_copy)
    _rig_add("judge_putu16 queue addr val done", rig_judge_putu16)
    _rig_add("judge_getdesc queue head ret", rig_judge_getdesc)
    _rig_add("judge_pull ret -> length", rig_judge_pull)
    _rig_add("judge_filter passed", rig_judge_filter)
    _rig_add("judge_packet n", rig_judge_packet)
    _rig_add("judge_push_data queue ret n", rig_judge_push_data)
    _rig_add("judge_command status", rig_judge_command)
    _rig_add("judge_used queue addr head len", rig_judge_used)
    _rig_add("judge_run_begin", rig_judge_run_begin)
    _rig_add("judge_run_end", rig_judge_run_end)
    _rig_field("sim.buffer", &sim_net.buffer[0], 1, SIM_BUFFER, 1)
    _rig_field("ring.last_avail", &sim_vqs[0].vring.last_avail_idx, 2, NVQS_MAX,
               sizeof(VdpasimVirtqueue))
    _rig_field("ring.last_used", &sim_vqs[0].vring.last_used_idx, 2, NVQS_MAX,
               sizeof(VdpasimVirtqueue))
    _rig_field("tx.used", &sim_vqs[VQ_TX].out_iov.used, 4)
    _rig_field("tx.base", &sim_vqs[VQ_TX].out_iov.iov[0].base, 8)
    _rig_field("tx.len", &sim_vqs[VQ_TX].out_iov.iov[0].len, 8)
    _rig_field("judge.head", &JR.q[0].head, sizeof(int), NVQS_MAX, sizeof(JudgeQueue))


cdef void _rig_add_judge():
    _rig_add("judge_begin_op", rig_judge_begin_op)
    _rig_add("judge_push asid asid -> pushes", rig_judge_push)
    _rig_add("judge_handler ret", rig_judge_handler)
    _rig_add("judge_message type asid length size pushes ret", rig_judge_message)
    _rig_add("judge_open ret", rig_judge_open)
    _rig_add("judge_owner ret", rig_judge_owner)
    _rig_add("judge_backend_features bits bits ret", rig_judge_backend_features)
    _rig_add("judge_close", rig_judge_close)
    _rig_add("judge_removed", rig_judge_removed)


_RIG_CONSTANTS.update({
    "RO": VHOST_ACCESS_RO, "WO": VHOST_ACCESS_WO, "RW": VHOST_ACCESS_RW,
    "UPDATE": VHOST_IOTLB_UPDATE, "INVALIDATE": VHOST_IOTLB_INVALIDATE,
    "BATCH_BEGIN": VHOST_IOTLB_BATCH_BEGIN, "BATCH_END": VHOST_IOTLB_BATCH_END,
    "UAREA_BASE": UAREA_BASE, "PFN_BASE": PFN_BASE, "RETIRE": VHOST_IOTLB_FLAG_RETIRE,
    "L_DEV": L_DEV, "L_SIM": L_SIM, "L_IOMMU": L_IOMMU,
    "O_CALL": O_CALL, "O_OPEN": O_OPEN, "O_DEVICE": O_DEVICE,
    "ANON": MMAP_KIND_ANON, "SHARED": MMAP_KIND_SHARED,
    "CONTIGUOUS": MMAP_PATTERN_CONTIGUOUS, "SCATTERED": MMAP_PATTERN_SCATTERED,
    "PAIRS": MMAP_PATTERN_PAIRS, "REVERSED": MMAP_PATTERN_REVERSED,
    "SIZEOF_VHOST_MSG": SIZEOF_VHOST_MSG,
    "GET": CMD_GET, "SET_STATUS": CMD_SET_STATUS, "GET_CONFIG": CMD_GET_CONFIG,
    "SET_FEATURES": CMD_SET_FEATURES, "SET_CONFIG_CALL": CMD_SET_CONFIG_CALL,
    "SUSPEND": CMD_SUSPEND, "RESUME": CMD_RESUME, "SET_LOG_BASE": CMD_SET_LOG_BASE,
    "SET_MEM_TABLE": CMD_SET_MEM_TABLE, "SET_VRING_NUM": CMD_SET_VRING_NUM,
    "SET_VRING_ADDR": CMD_SET_VRING_ADDR, "SET_VRING_BASE": CMD_SET_VRING_BASE,
    "GET_VRING_BASE": CMD_GET_VRING_BASE, "SET_VRING_ENABLE": CMD_SET_VRING_ENABLE,
    "SET_VRING_CALL": CMD_SET_VRING_CALL, "GET_VRING_GROUP": CMD_GET_VRING_GROUP,
    "GET_VRING_DESC_GROUP": CMD_GET_VRING_DESC_GROUP, "GET_VRING_SIZE": CMD_GET_VRING_SIZE,
    "SET_GROUP_ASID": CMD_SET_GROUP_ASID, "UNKNOWN_IOCTL": CMD_UNKNOWN,
    "FD_CLOSED": FD_CLOSED,
})

_RIG_LIMITS.update({
    "cmd": CMD_UNKNOWN + 1, "device": NAS_MAX, "eventfd": EVENTFDS + 1, "file": FILES,
    "frame": FRAMES_MAX, "kind": 2, "lifetime": N_LIFETIMES, "map": MAPS_MAX, "npages": 1024,
    "object": OBJS_MAX, "pattern": 4, "pgoff": 1024, "pins": RIG_PINS_MAX, "place": TABLE_MAX,
    "queue": NVQS_MAX, "request": REQUEST_MAX,
    "record": MAP_FILES_MAX, "space": AS_MAX, "table": RIG_TABLES, "upage": UAREA_PAGES,
})


cdef void _rig_add_target():
    _rig_add_tables()
    _rig_add_memory()
    _rig_add_device()
    _rig_add_node()
    _rig_add_judge()
    _rig_add_rings()
    _rig_add_disk()
    _rig_add_vduse()
