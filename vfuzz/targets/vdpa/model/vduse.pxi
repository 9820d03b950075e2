# SPDX-License-Identifier: GPL-2.0-or-later
"""VDUSE: a device in a process of its own, the daemon.

drivers/vdpa/vdpa_user/vduse_dev.c and iova_domain.c (6.1.192, 6.12.117; 7.0 by its history: without
the repairs of 7.2, with API version 1). Device 0 is the parent of the node, device 1 has a driver
of the kernel (virtio-vdpa) if anybody. What the daemon does while a request waits for it is the
program's choice (op `daemon`); a request that waits 30 seconds is the end of the device.
"""


# ---- messages ----

cdef void msg_list_del(VduseDev* dev, int m, site_t site) noexcept nogil:
    """list_del() of message m. V50: it is on a list."""
    cdef int i, n
    cdef int* msgs = dev.send_list
    cdef VduseMsg* msg = &dev.msgs[m]
    lockdep_assert_held(L_MSG, site)
    if unlikely(msg.on == MSG_ON_NONE):
        violation(CHECK_V50, site, b"message", msg.request_id,
                  b"request %lld is unlinked, but is on no list", msg.request_id, 0, 0)
    n = dev.n_send
    if msg.on == MSG_ON_RECV:
        msgs = dev.recv_list
        n = dev.n_recv
    for i in range(n):
        if msgs[i] == m:
            memmove(&msgs[i], &msgs[i + 1], <size_t>(n - i - 1) * sizeof(int))
            break
    if msg.on == MSG_ON_RECV:
        dev.n_recv -= 1
    else:
        dev.n_send -= 1
    msg.on = MSG_ON_NONE


cdef void vduse_enqueue_msg(VduseDev* dev, int m, int on, bint first, site_t site) noexcept nogil:
    """list_add(), list_add_tail(). V16: the message is there. V50: it is on no list yet."""
    cdef VduseMsg* msg = &dev.msgs[m]
    cdef int* msgs = dev.send_list
    cdef int n = dev.n_send
    lockdep_assert_held(L_MSG, site)
    if unlikely(not msg.live):
        violation(CHECK_V16, site, b"message", msg.request_id,
                  b"request %lld is queued, though nobody waits for it any more", msg.request_id,
                  0, 0)
    if unlikely(msg.on != MSG_ON_NONE):
        violation(CHECK_V50, site, b"message", msg.request_id,
                  b"request %lld is queued, but is on a list already", msg.request_id, 0, 0)
    if on == MSG_ON_RECV:
        msgs = dev.recv_list
        n = dev.n_recv
        dev.n_recv += 1
    else:
        dev.n_send += 1
    msg.on = <uint8_t>on
    if first:
        memmove(&msgs[1], &msgs[0], <size_t>n * sizeof(int))
        msgs[0] = m
    else:
        msgs[n] = m


cdef int vduse_find_msg(VduseDev* dev, uint32_t request_id) noexcept nogil:
    """The message with this id on recv_list, which it leaves; -1 if there is none."""
    cdef int i, m
    for i in range(dev.n_recv):
        m = dev.recv_list[i]
        if dev.msgs[m].request_id == request_id:
            msg_list_del(dev, m, b"vduse_find_msg:list")
            return m
    return -1


cdef void msg_end(VduseDev* dev, int m, int ret) noexcept nogil:
    """Who waited for it goes on; the message was on its stack."""
    dev.msgs[m].live = False
    judge_msg_ended(dev, dev.msgs[m].request_id, ret)


cdef void vduse_dev_broken(VduseDev* dev) noexcept nogil:
    """Every request fails, now and from now on."""
    cdef int i, m
    if dev.broken:
        return
    # the received ones are put in front of those to be sent, then all end in this order
    for i in range(dev.n_recv + dev.n_send):
        if dev.n_recv:
            m = dev.recv_list[0]
        else:
            m = dev.send_list[0]
        msg_list_del(dev, m, b"vduse_dev_broken:list")
        dev.msgs[m].completed = True
        dev.msgs[m].result = VDUSE_REQ_RESULT_FAILED
    dev.broken = True
    judge_vduse_broken(dev)


cdef int msg_send(VduseDev* dev, int type, bint thread) noexcept nogil:
    """The first half of vduse_dev_msg_sync(): the message, or -EIO."""
    cdef int m
    if dev.broken:
        judge_msg_refused(dev)
        return -EIO
    for m in range(VDUSE_MSGS):
        if not dev.msgs[m].live:
            break
    else:
        give_up()
        return -EIO
    memset(&dev.msgs[m], 0, sizeof(VduseMsg))
    dev.msgs[m].live = True
    dev.msgs[m].thread = thread
    dev.msgs[m].type = <uint8_t>type
    lock(L_MSG, b"vduse_dev_msg_sync:lock")
    dev.msgs[m].request_id = dev.msg_unique
    dev.msg_unique += 1
    vduse_enqueue_msg(dev, m, MSG_ON_SEND, False, b"vduse_dev_msg_sync:send")
    unlock(L_MSG, b"vduse_dev_msg_sync:unlock")
    judge_msg_sent(dev, dev.msgs[m].request_id)
    ev(b"send", b"message", dev.msgs[m].request_id, type, 0, b"vduse_dev_msg_sync:ev")
    return m


cdef int msg_wake(VduseDev* dev, int m, bint killed) noexcept nogil:
    """The second half: 0 if the daemon said so, else -EIO; without an answer the device breaks,
    unless it was a signal that ended the wait."""
    cdef VduseMsg* msg = &dev.msgs[m]
    cdef int ret
    lock(L_MSG, b"vduse_dev_msg_sync:lock_end")
    if not msg.completed:
        msg_list_del(dev, m, b"vduse_dev_msg_sync:list")
        msg.result = VDUSE_REQ_RESULT_FAILED
        if not killed:
            vduse_dev_broken(dev)
    ret = 0 if msg.result == VDUSE_REQ_RESULT_OK else -EIO
    unlock(L_MSG, b"vduse_dev_msg_sync:unlock_end")
    msg_end(dev, m, ret)
    return ret


cdef int vduse_dev_msg_sync(VduseDev* dev, int type) noexcept nogil:
    """Ask the daemon and wait: 0 or -EIO."""
    return msg_sync(dev, type, 0)


cdef int msg_sync(VduseDev* dev, int type, uint8_t status) noexcept nogil:
    cdef int m = msg_send(dev, type, False)
    if m < 0:
        return m
    dev.msgs[m].status = status
    daemon_run(dev)
    m = msg_wake(dev, m, False)
    threads_wake(dev)
    return m


cdef int vduse_dev_request(VduseDev* dev, int type) noexcept nogil:
    """The same by a thread of the kernel, which waits while the program goes on."""
    cdef int i, n = 0
    for i in range(VDUSE_MSGS):
        n += dev.msgs[i].live
    # one is left for the caller itself
    if n >= VDUSE_MSGS - 1:
        return -EAGAIN
    return min(msg_send(dev, type, True), 0)


cdef void threads_wake(VduseDev* dev) noexcept nogil:
    """Threads whose answer is there go on."""
    cdef int m
    for m in range(VDUSE_MSGS):
        if dev.msgs[m].live and dev.msgs[m].thread and dev.msgs[m].completed:
            msg_wake(dev, m, False)


cdef int thread_leave(VduseDev* dev, bint killed) noexcept nogil:
    """The thread that waits longest gives up: by its timeout, or by a signal that kills it."""
    cdef int m, oldest = -1
    for m in range(VDUSE_MSGS):
        if dev.msgs[m].live and dev.msgs[m].thread and not dev.msgs[m].completed:
            if oldest < 0 or dev.msgs[m].request_id < dev.msgs[oldest].request_id:
                oldest = m
    if oldest < 0:
        return -ENOENT
    msg_wake(dev, oldest, killed)
    threads_wake(dev)
    return 0


cdef int vduse_dev_read_iter(VduseDev* dev, bint efault, int meanwhile,
                             uint32_t* request_id) noexcept nogil:
    """read(2) of a request, O_NONBLOCK: its type, -EAGAIN, -EFAULT. A fault site (add).

    meanwhile: what another thread does while the request is copied without the lock
    (VDUSE_READ_MEANWHILE_*).
    """
    cdef int m, type
    cdef bint off_list = quirk(QUIRK_B14) or era_7_0()
    cdef bint to_tail = quirk(QUIRK_B15) or era_7_0()
    lock(L_MSG, b"vduse_dev_read_iter:lock")
    if dev.n_send == 0:
        unlock(L_MSG, b"vduse_dev_read_iter:unlock_empty")
        return -EAGAIN
    m = dev.send_list[0]
    msg_list_del(dev, m, b"vduse_dev_read_iter:list")
    type = dev.msgs[m].type
    request_id[0] = dev.msgs[m].request_id
    # "Fix race in vduse_dev_msg_sync and vduse_dev_read_iter" (7.2): it was on no list meanwhile
    if not off_list:
        vduse_enqueue_msg(dev, m, MSG_ON_RECV, False, b"vduse_dev_read_iter:recv")
    unlock(L_MSG, b"vduse_dev_read_iter:unlock")
    if meanwhile == VDUSE_READ_MEANWHILE_TIMEOUT or meanwhile == VDUSE_READ_MEANWHILE_KILL:
        thread_leave(dev, meanwhile == VDUSE_READ_MEANWHILE_KILL)
    elif meanwhile == VDUSE_READ_MEANWHILE_REPLY:
        daemon_reply(dev, request_id[0], VDUSE_REQ_RESULT_OK)
    if efault or fault(FAULT_ADD, b"vduse_dev_read_iter:copy"):
        lock(L_MSG, b"vduse_dev_read_iter:lock_back")
        if not off_list:
            m = vduse_find_msg(dev, request_id[0])
        if m >= 0:
            # "Requeue failed read to send_list head" (7.2): later requests overtook it
            vduse_enqueue_msg(dev, m, MSG_ON_SEND, not to_tail, b"vduse_dev_read_iter:back")
        unlock(L_MSG, b"vduse_dev_read_iter:unlock_back")
        return -EFAULT
    if off_list:
        lock(L_MSG, b"vduse_dev_read_iter:lock_recv")
        vduse_enqueue_msg(dev, m, MSG_ON_RECV, False, b"vduse_dev_read_iter:recv_late")
        unlock(L_MSG, b"vduse_dev_read_iter:unlock_recv")
    return type


cdef int vduse_dev_write_iter(VduseDev* dev, uint32_t request_id, int result) noexcept nogil:
    """write(2) of a response: 0 (its size upstream), -EINVAL, -ENOENT. A fault site (add)."""
    cdef int m, ret = 0
    if fault(FAULT_ADD, b"vduse_dev_write_iter:copy"):
        return -EINVAL
    lock(L_MSG, b"vduse_dev_write_iter:lock")
    m = vduse_find_msg(dev, request_id)
    if m < 0:
        ret = -ENOENT
    else:
        dev.msgs[m].result = <uint8_t>result
        dev.msgs[m].completed = True
    unlock(L_MSG, b"vduse_dev_write_iter:unlock")
    return ret


cdef int daemon_read(VduseDev* dev, bint efault, int meanwhile,
                     uint32_t* request_id) noexcept nogil:
    cdef int r
    judge_vduse_reading(dev)
    r = vduse_dev_read_iter(dev, efault, meanwhile, request_id)
    judge_vduse_read(dev, request_id[0], r)
    return r


cdef int daemon_reply(VduseDev* dev, uint32_t request_id, int result) noexcept nogil:
    cdef int r = vduse_dev_write_iter(dev, request_id, result)
    judge_vduse_reply(dev, request_id, result, r)
    threads_wake(dev)
    return r


cdef bint daemon_refuses(const VduseDev* dev, uint32_t request_id) noexcept nogil:
    """A daemon is expected to refuse FEATURES_OK for features that it did not offer."""
    cdef int m
    for m in range(VDUSE_MSGS):
        if dev.msgs[m].live and dev.msgs[m].request_id == request_id:
            return (dev.msgs[m].status & VIRTIO_CONFIG_S_FEATURES_OK
                    and dev.driver_features & ~vdpa.device_features)
    return False    # uncovered: its caller has read that request just now


cdef void daemon_run(VduseDev* dev) noexcept nogil:
    """The daemon's turn while somebody waits: it reads and answers until nothing is left."""
    cdef uint32_t request_id
    cdef bint again = V_daemon == DAEMON_MODE_FAULT
    cdef int type
    if not dev.connected or V_daemon == DAEMON_MODE_SILENT:
        return
    while True:
        step(b"daemon_run:message")
        type = daemon_read(dev, again, VDUSE_READ_MEANWHILE_NOTHING, &request_id)
        if type == -EAGAIN:
            return
        if type < 0:
            # once more, with a buffer that is there
            if not again:
                return
            again = False
            continue
        if V_daemon == DAEMON_MODE_WRONG_ID:
            daemon_reply(dev, request_id + 1000, VDUSE_REQ_RESULT_OK)
        else:
            daemon_reply(dev, request_id,
                         VDUSE_REQ_RESULT_FAILED if V_daemon == DAEMON_MODE_FAIL
                         or daemon_refuses(dev, request_id) else VDUSE_REQ_RESULT_OK)


# ---- the domain: what the daemon can reach ----

cdef void vduse_iotlb_del_range(Iotlb* iotlb, uint64_t start, uint64_t last) noexcept nogil:
    cdef int m = vhost_iotlb_itree_first(iotlb, start, last)
    while m:
        map_file_put(I_maps[m].opaque, b"vduse_iotlb_del_range:put")
        vhost_iotlb_map_free(iotlb, m, b"vduse_iotlb_del_range:free")
        m = vhost_iotlb_itree_first(iotlb, start, last)


cdef int vduse_domain_set_map(Iotlb* domain, const Iotlb* iotlb) noexcept nogil:
    """The domain's table becomes a copy with file references of its own, or empty on an error."""
    cdef const Map* p
    cdef int i, m, ret = 0
    lock(L_IOMMU, b"vduse_domain_set_map:lock")
    vduse_iotlb_del_range(domain, 0, U64_MAX)
    lockdep_assert_held(iotlb.lock, b"vduse_domain_set_map:source")
    vdpasim.copies += iotlb.n
    if unlikely(vdpasim.copies > COPIES_MAX):
        give_up()
    for i in range(iotlb.n):
        p = &I_maps[iotlb.tree[i]]
        m = map_file_new(M_files[p.opaque].file, M_files[p.opaque].offset, MAP_FILE_DOMAIN,
                         b"vduse_iotlb_add_range:record")
        ret = -ENOMEM
        if m:
            ret = vhost_iotlb_add_range_ctx(domain, p.start, p.last, p.addr, p.perm, m)
            if ret:
                # uncovered: a full domain takes a program that is a finding in 7.0: no limit there
                map_file_put(m, b"vduse_iotlb_add_range:put")
        if ret:
            vduse_iotlb_del_range(domain, 0, U64_MAX)
            break
    unlock(L_IOMMU, b"vduse_domain_set_map:unlock")
    return ret


cdef void vduse_domain_clear_map(Iotlb* domain, const Iotlb* iotlb) noexcept nogil:
    """What the table maps goes from the domain."""
    cdef int i
    lock(L_IOMMU, b"vduse_domain_clear_map:lock")
    for i in range(iotlb.n):
        vduse_iotlb_del_range(domain, I_maps[iotlb.tree[i]].start, I_maps[iotlb.tree[i]].last)
    unlock(L_IOMMU, b"vduse_domain_clear_map:unlock")


# ---- vduse_vdpa_config_ops ----

cdef inline Iotlb* space_domain(uint32_t asid) noexcept nogil:
    """vduse_dev.as[asid].domain of API 1. Before that there is one domain, whatever the id."""
    if not era_7_0():
        return &vdpasim_iommu[0]
    judge_vduse_space(asid)
    return &vdpasim_iommu[asid]


cdef int vduse_vdpa_set_map(uint32_t asid, const Iotlb* iotlb) noexcept nogil:
    cdef Iotlb* domain = space_domain(asid)
    cdef int ret = vduse_domain_set_map(domain, iotlb)
    if ret:
        return ret
    ret = vduse_dev_msg_sync(&V_devs[0], VDUSE_UPDATE_IOTLB)
    if ret:
        vduse_domain_clear_map(domain, iotlb)
    return ret


cdef uint32_t vduse_vdpa_get_vq_num_max() noexcept nogil:
    cdef int i
    cdef uint32_t num_max = 0
    for i in range(VDUSE_VQS):
        num_max = max(num_max, V_devs[0].vqs[i].num_max)
    return num_max


cdef void vduse_dev_reset(VduseDev* dev) noexcept nogil:
    """Everything of the driver's; not the mappings, not the groups' address spaces."""
    cdef int i
    cdef VduseQueue* vq
    vduse_domain_reset_bounce_map(dev)
    dev.status = 0
    dev.driver_features = 0
    dev.generation += 1
    dev.config_cb = False
    for i in range(VDUSE_VQS):
        vq = &dev.vqs[i]
        vq.ready = False
        vq.desc_addr = 0
        vq.driver_addr = 0
        vq.device_addr = 0
        vq.num = 0
        vq.state.avail = 0
        vq.state.used = 0
        vq.kicked = False
        vq.kickfd = False
        vq.cb = False
        vq.trigger = 0
    if dev == &V_devs[0]:
        vdpa.vq_num_max = vduse_vdpa_get_vq_num_max()


cdef int vduse_vdpa_reset(VduseDev* dev) noexcept nogil:
    """It is reset in any case, but a daemon that does not answer is an error."""
    cdef int ret = vduse_dev_msg_sync(dev, VDUSE_SET_STATUS)
    vduse_dev_reset(dev)
    return ret


cdef void vduse_vdpa_set_status(VduseDev* dev, uint8_t status) noexcept nogil:
    """What the daemon does not confirm does not become the status, in silence."""
    if msg_sync(dev, VDUSE_SET_STATUS, status) == 0:
        dev.status = status


cdef void vduse_vdpa_set_vq_address(uint32_t q, uint64_t desc, uint64_t driver,
                                    uint64_t device) noexcept nogil:
    V_devs[0].vqs[q].desc_addr = desc
    V_devs[0].vqs[q].driver_addr = driver
    V_devs[0].vqs[q].device_addr = device


cdef uint32_t vduse_vdpa_get_vq_size(uint32_t q) noexcept nogil:
    cdef const VduseQueue* vq = &V_devs[0].vqs[q]
    return vq.num if vq.num else vq.num_max


cdef inline bint vduse_packed(const VduseDev* dev) noexcept nogil:
    return (dev.driver_features & bit(VIRTIO_F_RING_PACKED)) != 0


cdef int vduse_vdpa_set_vq_state(uint32_t q, const VqState* state) noexcept nogil:
    """What the daemon finds with VDUSE_VQ_GET_INFO; of a split ring there is only a half."""
    V_devs[0].vqs[q].state.avail = state.avail
    if vduse_packed(&V_devs[0]):
        V_devs[0].vqs[q].state.used = state.used
    return 0


cdef int vduse_vdpa_get_vq_state(uint32_t q, VqState* state) noexcept nogil:
    """The daemon is asked, who answers with the position that it was told: it runs no rings."""
    cdef int ret = vduse_dev_msg_sync(&V_devs[0], VDUSE_GET_VQ_STATE)
    if ret:
        return ret
    state.avail = V_devs[0].vqs[q].state.avail
    if vduse_packed(&V_devs[0]):
        state.used = V_devs[0].vqs[q].state.used
        state.used_set = True
    return 0


cdef void vduse_vdpa_set_vq_cb(uint32_t q, bint set) noexcept nogil:
    cdef VduseQueue* vq = &V_devs[0].vqs[q]
    vq.cb = set
    # 6.6: an eventfd to be signalled without the callback
    vq.trigger = v_vqs[q].call_ctx if era_6_12() else 0


cdef void vduse_vq_kick(uint32_t q) noexcept nogil:
    """A kick of a queue whose eventfd the daemon did not give yet is kept."""
    cdef VduseQueue* vq = &V_devs[0].vqs[q]
    if not vq.ready:
        return
    if vq.kickfd:
        vq.kicks += 1
    else:
        vq.kicked = True


cdef bint vduse_vq_cb(uint32_t q) noexcept nogil:
    """Can vduse_vq_irq_inject() call the callback of queue q, if the daemon says so?"""
    cdef const VduseQueue* vq = &V_devs[0].vqs[q]
    return (vq.ready and vq.cb and not vq.trigger
            and (V_devs[0].status & VIRTIO_CONFIG_S_DRIVER_OK) != 0)


cdef void vduse_vdpa_get_config(VduseDev* dev, uint32_t offset, uint8_t* buf, uint8_t* known,
                                uint32_t size) noexcept nogil:
    """`size` bytes of the config space; what lies behind it is zero. known: bytes it wrote."""
    # 46f8a29272e5: what lies behind it was left as it was
    if not quirk(QUIRK_B11):
        memset(buf, 0, size)
        memset(known, 1, size)
    if offset > dev.config_size:
        return
    size = min(size, dev.config_size - offset)
    memcpy(buf, &dev.config[offset], size)
    memset(known, 1, size)


cdef int vduse_set_group_asid(VduseDev* dev, uint32_t group, uint32_t asid) noexcept nogil:
    """vduse_set_group_asid() of API 1: the daemon is asked first."""
    cdef int ret
    if P.boot[BOOT_VDUSE_API] == 0 or asid >= vdpa.nas or group >= vdpa.ngroups:
        return -EINVAL
    ret = vduse_dev_msg_sync(dev, VDUSE_SET_VQ_GROUP_ASID)
    if ret:
        return ret
    dev.group_as[group] = asid
    return 0


# ---- DMA of a driver in the kernel: the domain's own mappings, which the daemon can mmap ----

cdef int vduse_iotlb_add_range(uint64_t start, uint64_t last, uint64_t addr,
                               uint64_t offset) noexcept nogil:
    """A mapping of device 1's domain to the domain's own file: 0 or -errno. Two fault sites
    (alloc)."""
    cdef int ret, m = map_file_new(0, offset, MAP_FILE_OWN, b"vduse_iotlb_add_range:own")
    if m == 0:
        return -ENOMEM
    ret = vhost_iotlb_add_range_ctx(&V_domain, start, last, addr, VHOST_ACCESS_RW, m)
    if ret:
        map_file_put(m, b"vduse_iotlb_add_range:put_own")
    return ret


cdef int vduse_domain_init_bounce_map(VduseDev* dev) noexcept nogil:
    """One mapping of all bounce pages: 0 or -errno."""
    cdef int ret
    if dev.bounce_map:
        return 0
    lock(L_IOMMU, b"vduse_domain_init_bounce_map:lock")
    ret = vduse_iotlb_add_range(0, (<uint64_t>dev.bounce_pages << PAGE_SHIFT) - 1, 0, 0)
    dev.bounce_map = ret == 0
    unlock(L_IOMMU, b"vduse_domain_init_bounce_map:unlock")
    return ret


cdef void vduse_domain_reset_bounce_map(VduseDev* dev) noexcept nogil:
    """And no more; what is coherent stays until its driver frees it."""
    if not dev.bounce_map:
        return
    lock(L_IOMMU, b"vduse_domain_reset_bounce_map:lock")
    vduse_iotlb_del_range(&V_domain, 0, (<uint64_t>dev.bounce_pages << PAGE_SHIFT) - 1)
    dev.bounce_map = False
    unlock(L_IOMMU, b"vduse_domain_reset_bounce_map:unlock")


cdef inline uint64_t coherent_iova(const VduseDev* dev, int page) noexcept nogil:
    """Upstream takes an address behind the bounce pages from an allocator, here the program says
    which."""
    return <uint64_t>(dev.bounce_pages + <uint32_t>page) << PAGE_SHIFT


cdef int coherent_at(int page) noexcept nogil:
    """The first page of the allocation that has this one, -1 if there is none."""
    cdef int first = page
    while first >= 0 and V_coherent[first].obj == 0:
        first -= 1
    if first < 0 or (V_coherent[first].size + PAGE_MASK_LOW) >> PAGE_SHIFT <= <uint32_t>(
            page - first):
        return -1
    return first


cdef int vduse_domain_alloc_coherent(const VduseDev* dev, int page, uint32_t size,
                                     int obj) noexcept nogil:
    """An address for memory `obj`, and its mapping: 0, -ENOMEM (DMA_MAPPING_ERROR)."""
    cdef uint64_t iova = coherent_iova(dev, page)
    cdef int ret
    lock(L_IOMMU, b"vduse_domain_alloc_coherent:lock")
    ret = vduse_iotlb_add_range(
        iova, iova + size - 1,
        (COHERENT_PFN + <uint64_t>obj * VDUSE_COHERENT_PAGES) << PAGE_SHIFT, iova)
    unlock(L_IOMMU, b"vduse_domain_alloc_coherent:unlock")
    return -ENOMEM if ret else 0


cdef int vduse_dev_alloc_coherent(const VduseDev* dev, int page, uint32_t size,
                                  bint zero) noexcept nogil:
    """dma_alloc_coherent() of a driver: 0, -ENOMEM (NULL). zero: it asks for cleared memory.

    A fault site (alloc) for the memory, then those of the mapping.
    """
    cdef int i, n = <int>((size + PAGE_MASK_LOW) >> PAGE_SHIFT), obj
    # the allocator gives no address twice
    for i in range(page, page + n):
        if i >= VDUSE_COHERENT_PAGES or coherent_at(i) >= 0:
            return -ENOMEM
    obj = kmalloc(b"coherent memory", O_COHERENT, b"vduse_dev_alloc_coherent:pages")
    if obj == 0:
        return -ENOMEM
    if vduse_domain_alloc_coherent(dev, page, size, obj):
        kfree(obj, b"vduse_dev_alloc_coherent:free")
        return -ENOMEM
    V_coherent[page].obj = obj
    V_coherent[page].size = size
    # "avoid leaking information to userspace" (7.2): cleared only for a driver that asked for it
    memset(V_coherent_known[page], 0 if not zero and (quirk(QUIRK_B12) or era_7_0()) else 0xff,
           <size_t>n * sizeof(V_coherent_known[0]))
    return 0


cdef void vduse_domain_free_coherent(const VduseDev* dev, int page, uint32_t size) noexcept nogil:
    cdef uint64_t iova = coherent_iova(dev, page)
    cdef int m
    lock(L_IOMMU, b"vduse_domain_free_coherent:lock")
    m = vhost_iotlb_itree_first(&V_domain, iova, iova + size - 1)
    if unlikely(m == 0):
        violation(CHECK_V29, b"vduse_domain_free_coherent:warn", b"coherent memory", page,
                  b"the kernel warns: coherent page %lld has no mapping", page, 0, 0)
    map_file_put(I_maps[m].opaque, b"vduse_domain_free_coherent:put")
    vhost_iotlb_map_free(&V_domain, m, b"vduse_domain_free_coherent:map")
    unlock(L_IOMMU, b"vduse_domain_free_coherent:unlock")


cdef int vduse_dev_free_coherent(const VduseDev* dev, int page) noexcept nogil:
    """dma_free_coherent() of what begins at `page`: 0, -ENOENT (no driver would)."""
    cdef int obj = V_coherent[page].obj
    if obj == 0:
        return -ENOENT
    vduse_domain_free_coherent(dev, page, V_coherent[page].size)
    V_coherent[page].obj = 0
    # a page that the daemon has mapped is the daemon's from here on
    kfree(obj, b"vduse_dev_free_coherent:pages")
    return 0


cdef void known_set(uint8_t* known, uint32_t off, uint32_t size) noexcept nogil:
    """Somebody writes `size` bytes of a page, up to its end."""
    cdef uint32_t i = off, end = min(off + size, <uint32_t>PAGE_SIZE)
    while i < end and i & 7:
        known[i >> 3] |= <uint8_t>(1 << (i & 7))
        i += 1
    if i >= end:
        return
    memset(&known[i >> 3], 0xff, (end - i) >> 3)
    if end & 7:
        known[end >> 3] |= <uint8_t>((1 << (end & 7)) - 1)


cdef int driver_writes(int page, uint32_t off, uint32_t size) noexcept nogil:
    """A driver writes to a page of its memory: 0, -ENOENT (it has none there)."""
    if coherent_at(page) < 0:
        return -ENOENT
    known_set(V_coherent_known[page], off, size)
    return 0


cdef int vduse_domain_get_coherent_page(const VduseDev* dev, int page, uint32_t off) noexcept nogil:
    """The daemon reads a byte of the page: whether anybody wrote it; -EFAULT (SIGBUS). V16: the
    memory is there."""
    cdef uint64_t iova = coherent_iova(dev, page), pfn
    cdef int m
    lock(L_IOMMU, b"vduse_domain_get_coherent_page:lock")
    m = vhost_iotlb_itree_first(&V_domain, iova, iova + PAGE_MASK_LOW)
    unlock(L_IOMMU, b"vduse_domain_get_coherent_page:unlock")
    if m == 0:
        return -EFAULT
    pfn = (I_maps[m].addr + iova - I_maps[m].start) >> PAGE_SHIFT
    check_obj(<int>((pfn - COHERENT_PFN) // VDUSE_COHERENT_PAGES),
              b"vduse_domain_get_coherent_page:page")
    return (V_coherent_known[page][off >> 3] >> (off & 7)) & 1


# ---- bouncing ----

cdef int vduse_domain_map_page(VduseDev* dev, int page, uint32_t off, uint32_t size,
                               bint to_device) noexcept nogil:
    """vduse_domain_map_page() of part of a page: 0, -EINVAL (DMA_MAPPING_ERROR). A fault site
    (alloc). Upstream takes the page from an allocator of addresses, here the program names it."""
    cdef VduseBounce* map = &dev.bounce[page]
    if map.used:
        return -EINVAL
    if vduse_domain_init_bounce_map(dev):
        return -EINVAL
    if not map.page:
        if fault(FAULT_ALLOC, b"vduse_domain_map_bounce_page:page"):
            return -EINVAL
        map.page = True
        # "avoid leaking information to userspace" (7.2): the page was as it came
        memset(map.known, 0 if quirk(QUIRK_B12) or era_7_0() else 0xff, sizeof(map.known))
    map.used = True
    # with pages of the daemon's the kernel's own one stays as it is
    if to_device and not dev.umem:
        known_set(map.known, off, size)
    return 0


cdef void vduse_domain_unmap_page(VduseDev* dev, int page) noexcept nogil:
    """The page stays for the next who uses this address."""
    dev.bounce[page].used = False


cdef int vduse_domain_mmap_fault(VduseDev* dev, int page, uint32_t off) noexcept nogil:
    """The daemon reads a byte of a bounce page: whether anybody wrote it; -EFAULT (SIGBUS)."""
    cdef const VduseBounce* map = &dev.bounce[page]
    # what the daemon gave it has at its own address
    if not map.page or dev.umem:
        return -EFAULT
    return (map.known[off >> 3] >> (off & 7)) & 1


cdef void vduse_domain_add_user_bounce_pages(VduseDev* dev) noexcept nogil:
    """Pages in use are copied whole to those of the daemon."""
    cdef int i
    for i in range(VDUSE_BOUNCE_MAPS):
        if dev.bounce[i].page and dev.bounce[i].used:
            judge_umem_copy(i, dev.bounce[i].known)


cdef void vduse_domain_remove_user_bounce_pages(VduseDev* dev) noexcept nogil:
    """And back."""
    cdef int i
    for i in range(VDUSE_BOUNCE_MAPS):
        if dev.bounce[i].page and dev.bounce[i].used:
            memset(dev.bounce[i].known, 0xff, sizeof(dev.bounce[i].known))


cdef int reg_umem_pages(VduseDev* dev, uint64_t uaddr, uint32_t npages) noexcept nogil:
    """0, -ENOMEM, -EFAULT."""
    cdef int pinned, i
    if npages + <uint64_t>mm.pinned_vm > mm.rlimit:
        return -ENOMEM
    pinned = pin_user_pages(uaddr, <int>npages, True, V_umem_pages, b"vduse_dev_reg_umem:pin")
    if pinned != <int>npages:
        for i in range(pinned):
            unpin_user_page(V_umem_pages[i], b"vduse_dev_reg_umem:unpin")
        return pinned if pinned < 0 else -ENOMEM
    vduse_domain_add_user_bounce_pages(dev)
    mm.pinned_vm += npages
    return 0


cdef int vduse_dev_reg_umem(VduseDev* dev, uint64_t iova, uint64_t uaddr,
                            uint32_t npages) noexcept nogil:
    """VDUSE_IOTLB_REG_UMEM: 0, -EPERM, -EFAULT, -EINVAL, -EEXIST, -ENOMEM."""
    cdef int page_list, umem, ret = -ENOMEM
    if dev.broken:
        return -EPERM
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_umem"):
        return -EFAULT
    if (not dev.bounce_map or npages != dev.bounce_pages or iova != 0
            or uaddr & PAGE_MASK_LOW):
        return -EINVAL
    if dev.umem:
        return -EEXIST
    page_list = kmalloc(b"page list", O_DEVICE, b"vduse_dev_reg_umem:page_list")
    umem = kmalloc(b"umem", O_DEVICE, b"vduse_dev_reg_umem:umem")
    if page_list and umem:
        ret = reg_umem_pages(dev, uaddr, npages)
    # the list belongs to umem, and is one object with it from here on
    kfree(page_list, b"vduse_dev_reg_umem:free_list")
    if ret:
        kfree(umem, b"vduse_dev_reg_umem:free")
        return ret
    dev.umem = umem
    return 0


cdef int dereg_umem(VduseDev* dev, uint64_t iova, uint32_t npages) noexcept nogil:
    """vduse_dev_dereg_umem(): 0, -ENOENT, -EINVAL."""
    cdef uint32_t i
    if dev.umem == 0:
        return -ENOENT
    if iova != 0 or npages != dev.bounce_pages:
        return -EINVAL
    vduse_domain_remove_user_bounce_pages(dev)
    for i in range(npages):
        set_page_dirty_lock(V_umem_pages[i], b"vduse_dev_dereg_umem:dirty")
        unpin_user_page(V_umem_pages[i], b"vduse_dev_dereg_umem:unpin")
    judge_umem_gone(npages)
    mm.pinned_vm -= npages
    kfree(dev.umem, b"vduse_dev_dereg_umem:free")
    dev.umem = 0
    return 0


cdef int vduse_dev_dereg_umem(VduseDev* dev, uint64_t iova, uint32_t npages) noexcept nogil:
    """VDUSE_IOTLB_DEREG_UMEM."""
    if dev.broken:
        return -EPERM
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_umem"):
        return -EFAULT
    return dereg_umem(dev, iova, npages)


# ---- the daemon's file ----

cdef int vduse_dev_open(VduseDev* dev, bint race) noexcept nogil:
    """open(2) of the device's file: 0, -ENODEV, -EBUSY. race: it is destroyed meanwhile."""
    cdef int obj = dev.obj
    cdef bint destroys = False
    cdef int ret = -EBUSY
    lock(L_VDUSE, b"vduse_dev_open:lock")
    if obj == 0:
        unlock(L_VDUSE, b"vduse_dev_open:unlock_none")
        return -ENODEV
    # e440e0777489: the lock was dropped between looking it up and holding it
    if quirk(QUIRK_B13) or era_7_0():
        unlock(L_VDUSE, b"vduse_dev_open:unlock_early")
        if race:
            vduse_destroy_dev(dev)
        lock(L_VDUSE, b"vduse_dev_open:lock_again")
    else:
        destroys = race
    check_obj(obj, b"vduse_dev_open:dev")
    if not dev.connected:
        dev.connected = True
        ret = 0
    unlock(L_VDUSE, b"vduse_dev_open:unlock")
    if destroys:
        vduse_destroy_dev(dev)
    return ret


cdef void vduse_dev_release(VduseDev* dev) noexcept nogil:
    """close(2): requests that were read are to be read again, its memory is given back."""
    cdef int m
    dereg_umem(dev, 0, dev.bounce_pages)
    lock(L_MSG, b"vduse_dev_release:lock")
    while dev.n_recv:
        m = dev.recv_list[dev.n_recv - 1]
        msg_list_del(dev, m, b"vduse_dev_release:list")
        vduse_enqueue_msg(dev, m, MSG_ON_SEND, True, b"vduse_dev_release:back")
    unlock(L_MSG, b"vduse_dev_release:unlock")
    dev.connected = False


cdef int vduse_create_dev(VduseDev* dev) noexcept nogil:
    """VDUSE_CREATE_DEV and what a daemon does then: 0, -EEXIST, -ENOMEM."""
    cdef int i, obj
    if dev.obj:
        return -EEXIST
    obj = kmalloc(b"VDUSE device", O_DEVICE, b"vduse_create_dev:dev")
    if obj == 0:
        return -ENOMEM
    memset(dev, 0, sizeof(VduseDev))
    judge_vduse_created(dev)
    dev.obj = obj
    dev.config_size = VDUSE_CONFIG_SIZE
    dev.bounce_pages = VDUSE_MIN_BOUNCE_PAGES if era_6_12() else VDUSE_BOUNCE_PAGES
    dev.connected = True
    for i in range(VDUSE_VQS):
        dev.vqs[i].num_max = VDUSE_NUM_MAX
    return 0


cdef int vduse_destroy_dev(VduseDev* dev) noexcept nogil:
    """VDUSE_DESTROY_DEV: 0, -EINVAL, -EBUSY."""
    if dev.obj == 0:
        return -EINVAL
    lock(L_VDUSE, b"vduse_destroy_dev:lock")
    if dev.vdev or dev.connected:
        unlock(L_VDUSE, b"vduse_destroy_dev:unlock_busy")
        return -EBUSY
    dev.connected = True
    vduse_dev_reset(dev)
    if dev != &V_devs[0]:
        judge_domain_released()
    kfree(dev.obj, b"vduse_destroy_dev:dev")
    dev.obj = 0
    unlock(L_VDUSE, b"vduse_destroy_dev:unlock")
    return 0


cdef bint vduse_dev_is_ready(const VduseDev* dev) noexcept nogil:
    """Did the daemon say how large each ring can be?"""
    cdef int i
    for i in range(VDUSE_VQS):
        if dev.vqs[i].num_max == 0:
            return False
    return True


cdef int vdev_add(VduseDev* dev) noexcept nogil:
    """vdpa_dev_add() of it: 0, -EEXIST, -ENOMEM."""
    if dev.vdev:
        return -EEXIST
    dev.vdev = kmalloc(b"vdpa device", O_DEVICE, b"vduse_dev_init_vdpa:vdev")
    return 0 if dev.vdev else -ENOMEM


cdef void vduse_vdpa_free(VduseDev* dev) noexcept nogil:
    """Its driver has unmapped what it mapped, and frees what it allocated."""
    cdef int i
    for i in range(VDUSE_BOUNCE_MAPS):
        dev.bounce[i].used = False
    if dev != &V_devs[0]:
        for i in range(VDUSE_COHERENT_PAGES):
            vduse_dev_free_coherent(dev, i)
        judge_coherent_detached()
    kfree(dev.vdev, b"vduse_vdpa_free:vdev")
    dev.vdev = 0


# ---- its ioctls ----

cdef bint domain_first(VduseDev* dev, uint32_t asid, uint64_t start, uint64_t last,
                       Seg* entry) noexcept nogil:
    """The first mapping of the device's domain that overlaps, if there is one.

    Device 0 has those that vhost-vdpa set, device 1 those of its own memory, for space 0.
    """
    cdef const Iotlb* domain = &vdpasim_iommu[asid]
    cdef const Map* p
    cdef int m
    memset(entry, 0, sizeof(Seg))
    if dev != &V_devs[0]:
        domain = &V_domain
        if asid != 0:
            return False
    lock(L_IOMMU, b"vduse_dev_ioctl:lock_fd")
    m = vhost_iotlb_itree_first(domain, start, last)
    unlock(L_IOMMU, b"vduse_dev_ioctl:unlock_fd")
    if m == 0:
        return False
    p = &I_maps[m]
    entry.start = p.start
    entry.last = p.last
    entry.addr = p.addr
    entry.perm = p.perm
    entry.file = 0 if dev != &V_devs[0] else <uint32_t>M_files[p.opaque].file + 1
    entry.offset = M_files[p.opaque].offset
    return True


cdef int vduse_iotlb_get_info(VduseDev* dev, uint32_t asid, uint64_t start, uint64_t last,
                              Seg* entry) noexcept nogil:
    """VDUSE_IOTLB_GET_INFO: 0 and the first mapping that overlaps, -EPERM, -EFAULT, -EINVAL."""
    if dev.broken:
        return -EPERM
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_entry"):
        return -EFAULT
    if start > last or asid >= vdpa.nas or not domain_first(dev, asid, start, last, entry):
        return -EINVAL
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_back"):
        return -EFAULT
    return 0


cdef void perm_to_file_flags(uint32_t perm) noexcept nogil:
    """V30: a permission that there is; the kernel warns of others."""
    if unlikely(perm < VHOST_ACCESS_RO or perm > VHOST_ACCESS_RW):
        violation(CHECK_V30, b"perm_to_file_flags:warn", b"mapping", 0,
                  b"the kernel warns of permission %lld of a file's mapping", perm, 0, 0)


cdef int vduse_iotlb_get_fd(VduseDev* dev, uint32_t asid, uint64_t start, uint64_t last,
                            Seg* entry, uint32_t* mode) noexcept nogil:
    """VDUSE_IOTLB_GET_FD: the same, and how the daemon can use the file: as it was opened.

    receive_fd() takes from its flags whether exec() closes the fd, and nothing else.
    """
    cdef int r = vduse_iotlb_get_info(dev, asid, start, last, entry)
    if r:
        return r
    perm_to_file_flags(entry.perm)
    mode[0] = VHOST_ACCESS_RW
    return 0


cdef int vduse_dev_set_config(VduseDev* dev, uint32_t offset, uint32_t length,
                              uint8_t value) noexcept nogil:
    """VDUSE_DEV_SET_CONFIG of `length` bytes `value`: 0, -EPERM, -EFAULT, -EINVAL."""
    cdef bint inside
    if dev.broken:
        return -EPERM
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_config"):
        return -EFAULT
    inside = offset <= dev.config_size
    # ff9f9c6e7484: the offset was taken from the size first
    if quirk(QUIRK_B10):
        inside = True
    if not inside or length == 0 or length > dev.config_size - offset:
        return -EINVAL
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_bytes"):
        return -EFAULT
    if unlikely(offset > dev.config_size or length > dev.config_size - offset):
        violation(CHECK_V40, b"vduse_dev_ioctl:set_config", b"config space", offset,
                  b"%lld bytes at %lld are written to a config space of %lld", length, offset,
                  dev.config_size)
    memset(&dev.config[offset], value, length)
    return 0


cdef int vduse_vq_setup(VduseDev* dev, uint32_t index, uint32_t max_size,
                        uint32_t group) noexcept nogil:
    """VDUSE_VQ_SETUP; group: of API 1."""
    if dev.broken:
        return -EPERM
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_setup"):
        return -EFAULT
    if index >= VDUSE_VQS:
        return -EINVAL
    if vdpa.has_groups and P.boot[BOOT_VDUSE_API]:
        # nothing of a running device may change
        if group >= vdpa.ngroups or dev.status & VIRTIO_CONFIG_S_DRIVER_OK:
            return -EINVAL
        if dev == &V_devs[0]:
            vdpa.group_of[index] = group
    dev.vqs[index].num_max = <uint16_t>max_size
    if dev == &V_devs[0]:
        vdpa.vq_num_max = vduse_vdpa_get_vq_num_max()
        judge_vduse_setup()
    return 0


cdef int vduse_vq_get_info(VduseDev* dev, uint32_t index) noexcept nogil:
    """VDUSE_VQ_GET_INFO."""
    if dev.broken:
        return -EPERM
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_info"):
        return -EFAULT
    if index >= VDUSE_VQS:
        return -EINVAL
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_info_back"):
        return -EFAULT
    obs(b"num", dev.vqs[index].num)
    obs(b"desc", <int64_t>dev.vqs[index].desc_addr)
    obs(b"driver", <int64_t>dev.vqs[index].driver_addr)
    obs(b"device", <int64_t>dev.vqs[index].device_addr)
    obs(b"ready", dev.vqs[index].ready)
    return 0


cdef int vduse_kickfd_setup(VduseDev* dev, uint32_t index) noexcept nogil:
    """VDUSE_VQ_SETUP_KICKFD: a kick that came before it is not lost."""
    cdef VduseQueue* vq
    if dev.broken:
        return -EPERM
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_kickfd"):
        return -EFAULT
    if index >= VDUSE_VQS:
        return -EINVAL
    vq = &dev.vqs[index]
    vq.kickfd = True
    if vq.ready and vq.kicked:
        vq.kicks += 1
        vq.kicked = False
    return 0


cdef int vduse_dev_queue_irq_work(const VduseDev* dev) noexcept nogil:
    """0 if the work may run: only a running device has interrupts."""
    return 0 if dev.status & VIRTIO_CONFIG_S_DRIVER_OK else -EINVAL


cdef int vduse_inject_config_irq(VduseDev* dev) noexcept nogil:
    """VDUSE_DEV_INJECT_CONFIG_IRQ, and the work that it queues."""
    cdef int ret
    if dev.broken:
        return -EPERM
    ret = vduse_dev_queue_irq_work(dev)
    if ret == 0 and dev.config_cb and not C_config.running:
        config_cb_begin()
        if C_config.running:
            config_cb_end()
    return ret


cdef int vduse_vq_inject_irq(VduseDev* dev, uint32_t index) noexcept nogil:
    """VDUSE_VQ_INJECT_IRQ, and the work that it queues."""
    cdef VduseQueue* vq
    cdef int ret
    if dev.broken:
        return -EPERM
    if fault(FAULT_ADD, b"vduse_dev_ioctl:copy_index"):
        return -EFAULT
    if index >= VDUSE_VQS:
        return -EINVAL
    vq = &dev.vqs[index]
    # 6.6: whether the device runs is not asked any more
    if vq.trigger and vq.ready:
        eventfd_signal(vq.trigger, b"vduse_vq_signal_irqfd:signal")
        return 0
    ret = vduse_dev_queue_irq_work(dev)
    if ret == 0 and vq.ready and vq.cb:
        vhost_vdpa_virtqueue_cb(index)
    return ret


# ---- boot and end ----

cdef int vduse_create() noexcept nogil:
    """A daemon makes both devices, and the first becomes a vdpa device: 0, -EINVAL, -ENOMEM."""
    cdef uint32_t i
    cdef int r = 0
    cdef bint groups = era_7_0() and P.boot[BOOT_VDUSE_API] != 0
    memset(V_devs, 0, sizeof(V_devs))
    memset(V_coherent, 0, sizeof(V_coherent))
    memset(&vdpasim, 0, sizeof(vdpasim))
    V_daemon_set(DAEMON_MODE_ANSWER)
    vdpasim.limit = entries_of(P.boot[BOOT_SIM_ENTRIES])
    vdpa.has_set_map = True
    vdpa.has_vq_state = True
    vdpa.has_config_irq = True
    vdpa.has_vq_size = era_6_12()
    vdpa.has_groups = era_7_0()
    vdpa.use_va = True
    vdpa.keeps_maps = True
    vdpa.device_id = VIRTIO_ID_BLOCK
    vdpa.config_size = VDUSE_CONFIG_SIZE
    # none named: all; a device without ACCESS_PLATFORM cannot be made
    vdpa.device_features = features_of(P.boot[BOOT_FEATURES]) | bit(VIRTIO_F_ACCESS_PLATFORM)
    if P.boot[BOOT_FEATURES] == 0:
        vdpa.device_features = features_of(<uint32_t>-1)
    vdpa.nvqs = VDUSE_VQS
    vdpa.first = 0
    vdpa.last = U64_MAX
    if not groups:
        vdpa.ngroups = 1
        vdpa.nas = 1
    for i in range(vdpa.nas):
        vhost_iotlb_init(&vdpasim_iommu[i], 0 if era_7_0() else vdpasim.limit, 0, L_IOMMU)
    vhost_iotlb_init(&V_domain, 0 if era_7_0() else vdpasim.limit, 0, L_IOMMU)
    for i in range(VDUSE_VQS):
        vdpa.group_of[i] = i % vdpa.ngroups
    # 1ed35ac7f3fe: a limit of 0 was none; the domain comes with the device, from 6.5 on later
    if vdpasim.limit == 0 and not era_7_0():
        return -ENOMEM if era_6_12() else -EINVAL
    for i in range(VDUSE_DEVS):
        if r == 0:
            r = vduse_create_dev(&V_devs[i])
    if r == 0:
        r = vdev_add(&V_devs[0])
    if r:
        vduse_free()
    return r


cdef void V_daemon_set(int mode) noexcept nogil:
    global V_daemon
    V_daemon = mode


cdef void vduse_free() noexcept nogil:
    """The vdpa devices go, then the daemon, who destroys what it made: another op `dev_add` is
    another daemon."""
    cdef uint32_t i
    cdef VduseDev* dev
    for i in range(VDUSE_DEVS):
        dev = &V_devs[i]
        while thread_leave(dev, True) == 0:
            pass
        if dev.vdev:
            vduse_vdpa_free(dev)
        if dev.obj:
            if dev.connected:
                vduse_dev_release(dev)
            vduse_destroy_dev(dev)
    lock(L_IOMMU, b"vduse_domain_release:lock")
    for i in range(vdpa.nas):
        vduse_iotlb_del_range(&vdpasim_iommu[i], 0, U64_MAX)
    unlock(L_IOMMU, b"vduse_domain_release:unlock")
