# SPDX-License-Identifier: GPL-2.0-or-later
"""The simulated network device: drivers/vdpa/vdpa_sim/vdpa_sim_net.c (6.1.192, 6.12.117).

It loops back: a packet of the transmit queue that passes the filter is copied to the receive queue.
7.0 is 6.12.117 without the check of what reading a packet returns (0d195797a80b).
"""


# ---- configuration ----

cdef void vdpasim_net_attributes() noexcept nogil:
    """What vdpasim_net_dev_add() asks for: three queues, of which the last is a group of its own;
    the numbers of groups and address spaces are boot options."""
    vdpa.group_of[VQ_CTRL] = 1
    vdpa.device_features |= (
        bit(VIRTIO_NET_F_MTU) | bit(VIRTIO_NET_F_MAC) | bit(VIRTIO_NET_F_CTRL_VQ)
        | bit(VIRTIO_NET_F_CTRL_MAC_ADDR))
    if era_6_12():
        vdpa.device_features |= bit(VIRTIO_NET_F_STATUS)


cdef void vdpasim_net_create() noexcept nogil:
    """Configuration and statistics of a new device. What its packet buffer has at first is
    nobody's business: zeros."""
    cdef uint32_t mac = P.boot[BOOT_MAC]
    memset(sim_net.buffer, 0, sim_net.buffer_hi)
    sim_net.buffer_hi = 0
    sim_net.work_pending = False
    sim_net.pending_kick = False
    memset(sim_net.stats, 0, sizeof(sim_net.stats))
    if mac == BOOT_MAC_PLAIN:
        memcpy(vdpasim.config, b"\x52\x54\x01\x02\x03\x04", ETH_ALEN)
    elif mac == BOOT_MAC_SHORT:
        memcpy(vdpasim.config, b"\x02\x00\x00\x00\x00\x01", ETH_ALEN)
    vdpasim.config[NET_CONFIG_MTU] = 1500 & 0xff
    vdpasim.config[NET_CONFIG_MTU + 1] = 1500 >> 8


cdef inline void vdpasim_net_get_config() noexcept nogil:
    """Each read of the configuration says that the link is up."""
    vdpasim.config[NET_CONFIG_STATUS] = VIRTIO_NET_S_LINK_UP
    vdpasim.config[NET_CONFIG_STATUS + 1] = 0


# ---- packets ----

cdef void vdpasim_net_complete(uint32_t q, uint32_t len) noexcept nogil:
    """What the guest does not let happen is overlooked."""
    cdef Vringh* vrh = &sim_vqs[q].vring
    vringh_complete_iotlb(vrh, sim_vqs[q].head, len)
    if vringh_need_notify_iotlb(vrh) > 0:
        vdpasim_vq_call(q)


cdef inline int is_multicast(const uint8_t* addr) noexcept nogil:
    """A broadcast is one too."""
    return addr[0] & 1


cdef int mac_strncmp(const uint8_t* a, const uint8_t* b) noexcept nogil:
    """strncmp() of two addresses, which ends behind a byte of 0."""
    cdef int i
    for i in range(ETH_ALEN):
        if a[i] != b[i]:
            return a[i] - b[i]
        if a[i] == 0:
            return 0
    return 0


cdef bint receive_filter(uint64_t len) noexcept nogil:
    """Is the packet in the buffer for this device?"""
    cdef uint32_t hdr_len = 12 if vdpasim.features & bit(VIRTIO_F_VERSION_1) else 10
    cdef const uint8_t* dst = sim_net.buffer + hdr_len
    if len < ETH_ALEN + hdr_len:
        return False
    # 72455a114252: only for its own address
    if is_multicast(dst) and not quirk(QUIRK_A57):
        return True
    return mac_strncmp(dst, vdpasim.config) == 0


cdef int vdpasim_net_packet(uint32_t* pkts) noexcept nogil:
    """One packet of the transmit queue: 0 and the next may follow, or -1 and the run ends."""
    cdef VdpasimVirtqueue* txq = &sim_vqs[VQ_TX]
    cdef VdpasimVirtqueue* rxq = &sim_vqs[VQ_RX]
    cdef QueueStats* tx = &sim_net.stats[VQ_TX]
    cdef QueueStats* rx = &sim_net.stats[VQ_RX]
    cdef int64_t read, write
    cdef bint passed
    cdef int err = vringh_getdesc_iotlb(&txq.vring, &txq.out_iov, NULL, &txq.head)
    if err <= 0:
        tx.errors += err < 0
        return -1
    read = vringh_iov_pull_iotlb(&txq.vring, &txq.out_iov, sim_net.buffer, SIM_BUFFER)
    sim_net.buffer_hi = max(sim_net.buffer_hi, <uint32_t>read if read >= 0 else SIM_BUFFER)
    judge_pull(VQ_TX, read, sim_net.buffer, SIM_BUFFER)
    # 0d195797a80b: an errno went on as a length
    if read <= 0 and era_6_12() and not era_7_0() and not quirk(QUIRK_A59):
        tx.errors += 1
        vdpasim_net_complete(VQ_TX, 0)
        return 0
    judge_length(read, b"vdpasim_net_work:pull")
    if era_6_12():
        pkts[0] += 1
        tx.bytes += <uint64_t>read
    passed = receive_filter(<uint64_t>read)
    judge_filter(passed)
    if not passed:
        rx.drops += 1
        vdpasim_net_complete(VQ_TX, 0)
        return 0
    err = vringh_getdesc_iotlb(&rxq.vring, NULL, &rxq.in_iov, &rxq.head)
    if err <= 0:
        rx.overruns += 1
        vdpasim_net_complete(VQ_TX, 0)
        return -1
    judge_packet(sim_net.buffer, <uint64_t>read)
    write = vringh_iov_push_iotlb(&rxq.vring, &rxq.in_iov, sim_net.buffer, <uint64_t>read)
    judge_push_data(VQ_RX, write, <uint64_t>read)
    if write <= 0:
        rx.errors += 1
        return -1
    rx.pkts += 1
    rx.bytes += <uint64_t>write
    vdpasim_net_complete(VQ_TX, 0)
    vdpasim_net_complete(VQ_RX, <uint32_t>write)
    if not era_6_12():
        pkts[0] += 1
    # 6.1 counts what it delivers, 6.12 what it sends
    if pkts[0] > 4:
        vdpasim_schedule_work()
        return -1
    return 0


# ---- control queue ----

cdef uint8_t vdpasim_handle_ctrl_mac(uint8_t cmd) noexcept nogil:
    """The address is read into the configuration itself."""
    cdef VdpasimVirtqueue* cvq = &sim_vqs[VQ_CTRL]
    cdef uint8_t status = VIRTIO_NET_ERR
    cdef int64_t read
    if cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET:
        read = vringh_iov_pull_iotlb(&cvq.vring, &cvq.in_iov, vdpasim.config, ETH_ALEN)
        if read == ETH_ALEN:
            status = VIRTIO_NET_OK
    return status


cdef void vdpasim_handle_cvq() noexcept nogil:
    """Every command there is; the status is not that of its own command where nothing sets it."""
    cdef VdpasimVirtqueue* cvq = &sim_vqs[VQ_CTRL]
    cdef QueueStats* stats = &sim_net.stats[VQ_CTRL]
    cdef uint8_t[2] ctrl
    cdef uint8_t status = VIRTIO_NET_ERR
    cdef int64_t read, write
    if not (vdpasim.features & bit(VIRTIO_NET_F_CTRL_VQ)) or not cvq.ready:
        return
    while True:
        if vringh_getdesc_iotlb(&cvq.vring, &cvq.in_iov, &cvq.out_iov, &cvq.head) <= 0:
            break
        stats.pkts += 1
        read = vringh_iov_pull_iotlb(&cvq.vring, &cvq.in_iov, ctrl, 2)
        if read != 2:
            stats.errors += 1
            break
        if ctrl[0] == VIRTIO_NET_CTRL_MAC:
            status = vdpasim_handle_ctrl_mac(ctrl[1])
        if status == VIRTIO_NET_OK:
            stats.bytes += 1
        else:
            stats.errors += 1
        judge_command(status)
        write = vringh_iov_push_iotlb(&cvq.vring, &cvq.out_iov, &status, 1)
        judge_push_data(VQ_CTRL, write, 1)
        judge_length(write, b"vdpasim_handle_cvq:ack")
        vringh_complete_iotlb(&cvq.vring, cvq.head, <uint32_t>write)
        vringh_kiov_cleanup(&cvq.in_iov)
        vringh_kiov_cleanup(&cvq.out_iov)
        vdpasim_vq_call(VQ_CTRL)


# ---- work ----

cdef void vdpasim_net_work() noexcept nogil:
    """One run of the work function: commands first, then packets, up to five."""
    cdef uint32_t pkts = 0
    lock(L_SIM, b"vdpasim_net_work:lock")
    if vdpasim.running and vdpasim.status & VIRTIO_CONFIG_S_DRIVER_OK:
        judge_run_begin()
        R_run_site_set(b"vdpasim_handle_cvq:run")
        vdpasim_handle_cvq()
        R_run_site_set(b"vdpasim_net_work:run")
        if sim_vqs[VQ_TX].ready and sim_vqs[VQ_RX].ready:
            while vdpasim_net_packet(&pkts) == 0:
                pass
        judge_run_end()
    unlock(L_SIM, b"vdpasim_net_work:unlock")
    sim_net.stats[VQ_TX].pkts += pkts


cdef inline void R_run_site_set(site_t site) noexcept nogil:
    global R_run_site
    R_run_site = site


cdef int vdpasim_work(int count) noexcept nogil:
    """The worker gets processor time: up to `count` runs of pending work; how many there were."""
    cdef int i
    # one run may be tens of thousands of steps: more of them are not worth a verdict
    if unlikely(W.steps_total + steps_op() > STEPS_TOTAL_MAX // 2):
        give_up()
    for i in range(count):
        if not sim_net.work_pending:
            return i
        sim_net.work_pending = False
        if vdpa.device_id == VIRTIO_ID_BLOCK:
            vdpasim_blk_work()
        else:
            vdpasim_net_work()
    return count
