# SPDX-License-Identifier: GPL-2.0-or-later
"""The simulated disk: drivers/vdpa/vdpa_sim/vdpa_sim_blk.c (6.1.192, 6.12.117).

A request is a header that the device reads, data of either direction, and a byte for its status.
7.0 is 6.12.117 without the check of the first sector (0a8693f00c40). Of its 128 MiB there are here
the blocks that were written.
"""


# ---- the device ----

cdef void vdpasim_blk_attributes() noexcept nogil:
    """What vdpasim_blk_dev_add() asks for."""
    vdpa.device_id = VIRTIO_ID_BLOCK
    vdpa.nvqs = 1
    # 19cd4a5471b8: it asked for no group and no address space
    vdpa.ngroups = not quirk(QUIRK_B03)
    vdpa.nas = not quirk(QUIRK_B03)
    vdpa.device_features |= (
        bit(VIRTIO_BLK_F_FLUSH) | bit(VIRTIO_BLK_F_SIZE_MAX) | bit(VIRTIO_BLK_F_SEG_MAX)
        | bit(VIRTIO_BLK_F_BLK_SIZE) | bit(VIRTIO_BLK_F_TOPOLOGY) | bit(VIRTIO_BLK_F_MQ)
        | bit(VIRTIO_BLK_F_DISCARD) | bit(VIRTIO_BLK_F_WRITE_ZEROES))
    # sizeof(struct virtio_blk_config): what zones need came in 6.3
    vdpa.config_size = 96 if era_6_12() else 72


cdef void vdpasim_blk_boot() noexcept nogil:
    """The module is loaded: without a device, and with the disk that all of them share (6.4)."""
    disk_clear()
    sim_blk.buffer = 0
    sim_blk.shared_backend = era_6_12() and P.boot[BOOT_DEVICE] == BOOT_DEVICE_BLK_SHARED
    if sim_blk.shared_backend:
        judge_disk_new(True)


cdef int vdpasim_blk_create() noexcept nogil:
    """The rest of vdpasim_blk_dev_add(): the disk's bytes, 0 or -ENOMEM. 6.1 does not clear them;
    what a guest would find there are zeros here, which it must not see either."""
    if sim_blk.shared_backend:
        return 0
    sim_blk.buffer = kmalloc(b"disk", O_DEVICE, b"vdpasim_blk_create:buffer")
    if sim_blk.buffer == 0:
        return -ENOMEM
    disk_clear()
    judge_disk_new(era_6_12())
    return 0


cdef void vdpasim_blk_free() noexcept nogil:
    kfree(sim_blk.buffer, b"vdpasim_blk_free:buffer")
    sim_blk.buffer = 0


cdef inline void config_put(uint32_t at, uint32_t width, uint64_t value) noexcept nogil:
    cdef uint32_t i
    for i in range(width):
        vdpasim.config[at + i] = <uint8_t>(value >> (8 * i))


cdef void vdpasim_blk_get_config() noexcept nogil:
    """Each read of the configuration makes all of it anew."""
    memset(vdpasim.config, 0, sizeof(vdpasim.config))
    config_put(0, 8, BLK_CAPACITY)
    config_put(8, 4, BLK_SIZE_MAX)
    config_put(12, 4, BLK_SEG_MAX)
    config_put(20, 4, 1 << SECTOR_SHIFT)
    config_put(26, 2, 1)            # min_io_size
    config_put(28, 4, 1)            # opt_io_size
    config_put(34, 2, 1)            # num_queues
    config_put(36, 4, 0xffffffff)   # max_discard_sectors
    config_put(40, 4, 1)            # max_discard_seg
    config_put(44, 4, 1 << SECTOR_SHIFT)
    config_put(48, 4, 0xffffffff)   # max_write_zeroes_sectors
    config_put(52, 4, 1)            # max_write_zeroes_seg


# ---- its bytes ----

cdef void disk_clear() noexcept nogil:
    cdef int i
    for i in range(sim_blk.n):
        sim_blk.slot[sim_blk.block[i]] = 0
    sim_blk.n = 0


cdef uint8_t* disk_block(uint32_t block, bint make, bint all_of_it) noexcept nogil:
    """The bytes of a block; NULL if they are zeros and are to stay so. all_of_it: each of them is
    about to be written."""
    if sim_blk.slot[block] == 0:
        if not make:
            return NULL
        if unlikely(sim_blk.n == DISK_WRITTEN_MAX):
            give_up()
        if not all_of_it:
            memset(sim_blk.data[sim_blk.n], 0, PAGE_SIZE)
        sim_blk.block[sim_blk.n] = <uint16_t>block
        sim_blk.n += 1
        sim_blk.slot[block] = <uint16_t>sim_blk.n
    return sim_blk.data[sim_blk.slot[block] - 1]


cdef void disk_copy(uint64_t offset, uint64_t n, uint8_t* buf, bint write) noexcept nogil:
    """n bytes of the disk; buf NULL: zeros are written."""
    cdef uint32_t off, part
    cdef uint8_t* block
    while n:
        off = <uint32_t>(offset & PAGE_MASK_LOW)
        part = <uint32_t>min(n, <uint64_t>(PAGE_SIZE - off))
        block = disk_block(<uint32_t>(offset >> PAGE_SHIFT), write and buf != NULL,
                           part == PAGE_SIZE)
        if block == NULL:
            if not write:
                memset(buf, 0, part)
        elif buf == NULL:
            memset(block + off, 0, part)
        else:
            memcpy(block + off if write else buf, buf if write else block + off, part)
        if buf != NULL:
            buf += part
        offset += part
        n -= part


cdef inline void vdpasim_blk_buffer_lock() noexcept nogil:
    if sim_blk.shared_backend:
        lock(L_DISK, b"vdpasim_blk_buffer_lock:lock")


cdef inline void vdpasim_blk_buffer_unlock() noexcept nogil:
    if sim_blk.shared_backend:
        unlock(L_DISK, b"vdpasim_blk_buffer_unlock:unlock")


cdef int64_t disk_push(VdpasimVirtqueue* vq, uint64_t offset, uint64_t n) noexcept nogil:
    """Bytes of the disk go to the guest: how many, or -errno."""
    cdef int64_t ret
    judge_disk_range(offset, n)
    if unlikely(n > REQUEST_MAX):
        give_up()
    vdpasim_blk_buffer_lock()
    disk_copy(offset, n, sim_blk.request, False)
    judge_disk_read(offset, n, sim_blk.request)
    ret = vringh_iov_push_iotlb(&vq.vring, &vq.in_iov, sim_blk.request, n)
    judge_push_data(0, ret, n)
    vdpasim_blk_buffer_unlock()
    return ret


cdef int64_t disk_pull(VdpasimVirtqueue* vq, uint64_t offset, uint64_t n) noexcept nogil:
    """Bytes of the guest go to the disk: how many, or -errno, and some are there all the same."""
    cdef int64_t ret
    judge_disk_range(offset, n)
    if unlikely(n > REQUEST_MAX):
        give_up()
    vdpasim_blk_buffer_lock()
    disk_copy(offset, n, sim_blk.request, False)
    ret = vringh_iov_pull_iotlb(&vq.vring, &vq.out_iov, sim_blk.request, <uint32_t>n)
    disk_copy(offset, n, sim_blk.request, True)
    judge_disk_write(offset, n, sim_blk.request, ret)
    vdpasim_blk_buffer_unlock()
    return ret


# ---- requests ----

cdef bint vdpasim_blk_check_range(uint64_t start, uint64_t num, uint64_t max_) noexcept nogil:
    """max_ counts sectors, though what IN and OUT ask for was meant as bytes."""
    # 0a8693f00c40: such a start was told, and no reason to stop
    if start >= BLK_CAPACITY and not (era_7_0() or quirk(QUIRK_B04)):
        return False
    return num <= max_ and num <= BLK_CAPACITY - start


cdef uint8_t vdpasim_blk_range(VdpasimVirtqueue* vq, uint32_t type,
                               uint64_t to_pull) noexcept nogil:
    """DISCARD and WRITE_ZEROES, of one range: the status. DISCARD leaves the bytes alone."""
    cdef uint8_t[BLK_RANGE] raw
    cdef uint64_t sector
    cdef uint32_t num, flags
    if to_pull != BLK_RANGE:
        return VIRTIO_BLK_S_IOERR
    if vringh_iov_pull_iotlb(&vq.vring, &vq.out_iov, raw, BLK_RANGE) < 0:
        return VIRTIO_BLK_S_IOERR
    sector = <uint64_t>le32(raw) | <uint64_t>le32(raw + 4) << 32
    num = le32(raw + 8)
    flags = le32(raw + 12)
    if flags & ~<uint32_t>(type == VIRTIO_BLK_T_WRITE_ZEROES):
        return VIRTIO_BLK_S_UNSUPP
    if not vdpasim_blk_check_range(sector, num, 0xffffffff):
        return VIRTIO_BLK_S_IOERR
    if type == VIRTIO_BLK_T_WRITE_ZEROES:
        judge_disk_range(sector << SECTOR_SHIFT, <uint64_t>num << SECTOR_SHIFT)
        vdpasim_blk_buffer_lock()
        disk_copy(sector << SECTOR_SHIFT, <uint64_t>num << SECTOR_SHIFT, NULL, True)
        judge_disk_zero(sector << SECTOR_SHIFT, <uint64_t>num << SECTOR_SHIFT)
        vdpasim_blk_buffer_unlock()
    else:
        judge_disk_discard(sector << SECTOR_SHIFT, <uint64_t>num << SECTOR_SHIFT)
    return VIRTIO_BLK_S_OK


cdef uint8_t vdpasim_blk_type(VdpasimVirtqueue* vq, uint32_t type, uint64_t sector,
                              uint64_t to_pull, uint64_t to_push, uint64_t* pushed) noexcept nogil:
    """What the request asks for: its status, and the bytes that went to the guest."""
    cdef uint8_t[VIRTIO_BLK_ID_BYTES] ident
    cdef int64_t bytes = 0
    if type != VIRTIO_BLK_T_IN and type != VIRTIO_BLK_T_OUT and sector != 0:
        return VIRTIO_BLK_S_IOERR
    if type == VIRTIO_BLK_T_IN:
        if not vdpasim_blk_check_range(sector, to_push >> SECTOR_SHIFT, BLK_SIZE_MAX * BLK_SEG_MAX):
            return VIRTIO_BLK_S_IOERR
        bytes = disk_push(vq, sector << SECTOR_SHIFT, to_push)
    elif type == VIRTIO_BLK_T_OUT:
        if not vdpasim_blk_check_range(sector, to_pull >> SECTOR_SHIFT, BLK_SIZE_MAX * BLK_SEG_MAX):
            return VIRTIO_BLK_S_IOERR
        bytes = disk_pull(vq, sector << SECTOR_SHIFT, to_pull)
        return VIRTIO_BLK_S_IOERR if bytes < 0 else VIRTIO_BLK_S_OK
    elif type == VIRTIO_BLK_T_GET_ID:
        memset(ident, 0, VIRTIO_BLK_ID_BYTES)
        memcpy(ident, b"vdpa_blk_sim", 12)
        bytes = vringh_iov_push_iotlb(&vq.vring, &vq.in_iov, ident, VIRTIO_BLK_ID_BYTES)
        judge_push_data(0, bytes, VIRTIO_BLK_ID_BYTES)
    elif type == VIRTIO_BLK_T_DISCARD or type == VIRTIO_BLK_T_WRITE_ZEROES:
        return vdpasim_blk_range(vq, type, to_pull)
    elif type != VIRTIO_BLK_T_FLUSH:
        return VIRTIO_BLK_S_IOERR
    if bytes < 0:
        return VIRTIO_BLK_S_IOERR
    pushed[0] += <uint64_t>bytes
    return VIRTIO_BLK_S_OK


cdef bint vdpasim_blk_request(VdpasimVirtqueue* vq, uint64_t* pushed) noexcept nogil:
    """Was the request that was taken carried out, or refused, in its own last byte?"""
    cdef uint8_t[BLK_HEADER] header
    cdef uint8_t status
    cdef uint64_t to_push, to_pull
    cdef int64_t bytes
    if vq.out_iov.used < 1 or vq.in_iov.used < 1 or vq.in_iov.iov[vq.in_iov.used - 1].len < 1:
        return False
    to_push = vringh_kiov_length(&vq.in_iov) - 1
    to_pull = vringh_kiov_length(&vq.out_iov)
    bytes = vringh_iov_pull_iotlb(&vq.vring, &vq.out_iov, header, BLK_HEADER)
    if bytes != BLK_HEADER:
        return False
    status = vdpasim_blk_type(vq, le32(header),
                              <uint64_t>le32(header + 8) | <uint64_t>le32(header + 12) << 32,
                              to_pull - BLK_HEADER, to_push, pushed)
    # an id longer than its room makes this wrap, and an error behind the first segment counts that
    # segment twice: either way the end is left behind
    vringh_kiov_advance(&vq.in_iov, to_push - pushed[0])
    bytes = vringh_iov_push_iotlb(&vq.vring, &vq.in_iov, &status, 1)
    judge_status(bytes)
    if bytes != 1:
        return False
    pushed[0] += 1
    return True


cdef bint vdpasim_blk_handle_req(VdpasimVirtqueue* vq) noexcept nogil:
    """One request: True if it was answered, and the next may follow."""
    cdef uint64_t pushed = 0
    cdef bint handled
    if vringh_getdesc_iotlb(&vq.vring, &vq.out_iov, &vq.in_iov, &vq.head) != 1:
        return False
    judge_request()
    handled = vdpasim_blk_request(vq, &pushed)
    judge_request_done()
    # 8472019eec2c: a request that was not answered was kept
    if handled or not quirk(QUIRK_A60):
        vringh_complete_iotlb(&vq.vring, vq.head, <uint32_t>pushed)
    return handled


cdef void vdpasim_blk_work() noexcept nogil:
    """One run of the work function: up to five requests."""
    cdef VdpasimVirtqueue* vq = &sim_vqs[0]
    cdef uint32_t reqs = 0
    cdef bint reschedule = False
    lock(L_SIM, b"vdpasim_blk_work:lock")
    if vdpasim.running and vdpasim.status & VIRTIO_CONFIG_S_DRIVER_OK:
        judge_run_begin()
        R_run_site_set(b"vdpasim_blk_work:run")
        while vq.ready and not reschedule and vdpasim_blk_handle_req(vq):
            if vringh_need_notify_iotlb(&vq.vring) > 0:
                vdpasim_vq_call(0)
            reqs += 1
            # 9c4df0900f37: all that there were
            reschedule = reqs > 4 and not quirk(QUIRK_A61)
        judge_run_end()
    unlock(L_SIM, b"vdpasim_blk_work:unlock")
    event(0x900 + min(reqs, 15))
    if reschedule:
        vdpasim_schedule_work()
