# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge of rings: what the simulator reads, writes, takes, uses, sends back and answers.

It translates by its own list of what the device was told to map, walks each chain once more by the
rules of virtio, and keeps for each queue the positions, the geometry and the chain that is out. It
never looks into the model's vectors but to compare them.
"""

cdef enum:
    CHAIN_MAX = KIOV_MAX

cdef struct ChainSeg:           # one descriptor of a chain
    uint64_t addr
    uint64_t len
    uint8_t write

cdef struct Chain:
    int n
    ChainSeg[CHAIN_MAX] segs

cdef struct JudgeQueue:
    # as set by accepted calls
    uint32_t num
    uint64_t desc
    uint64_t avail
    uint64_t used
    # as they were when the queue was enabled
    uint8_t ready
    uint8_t no_size             # no size had been set
    Vring ring
    uint16_t last_avail
    uint16_t last_used
    # the chain that was taken and not used yet
    int head                    # -1 none
    uint64_t written
    uint32_t taken              # chains in this run of work
    Chain chain

cdef struct JudgeRing:
    JudgeQueue[NVQS_MAX] q
    uint32_t[BUCKETS] binding   # group -> address space
    uint8_t[CONFIG_MAX] config
    uint8_t[SIM_BUFFER] packet
    int64_t packet_len
    uint8_t push_failed
    uint8_t short_copy          # the running access did not get all of the process' bytes
    uint32_t ring_fetches       # of the chain that is walked: descriptors of the ring's own table
    int hint                    # the mapping that was looked up last

cdef JudgeRing JR


cdef void judge_ring_boot() noexcept nogil:
    """A new device: the address and MTU that it was made with."""
    cdef uint32_t mac = P.boot[BOOT_MAC]
    cdef int i
    for i in range(NVQS_MAX):
        JR.q[i].num = 0
        JR.q[i].chain.n = 0
        JR.q[i].written = 0
    judge_ring_reset()
    JR.packet_len = 0
    JR.push_failed = False
    JR.short_copy = False
    memset(JR.config, 0, sizeof(JR.config))
    if mac == BOOT_MAC_PLAIN:
        memcpy(JR.config, b"\x52\x54\x01\x02\x03\x04", ETH_ALEN)
    elif mac == BOOT_MAC_SHORT:
        memcpy(JR.config, b"\x02\x00\x00\x00\x00\x01", ETH_ALEN)
    JR.config[NET_CONFIG_MTU] = 1500 & 0xff
    JR.config[NET_CONFIG_MTU + 1] = 1500 >> 8
    if P.boot[BOOT_DEVICE] != BOOT_DEVICE_NET:
        judge_disk_config()


cdef void judge_ring_reset() noexcept nogil:
    """Addresses, positions and bindings are forgotten, sizes are not."""
    cdef int i
    for i in range(NVQS_MAX):
        JR.q[i].desc = 0
        JR.q[i].avail = 0
        JR.q[i].used = 0
        JR.q[i].ready = False
        JR.q[i].no_size = False
        JR.q[i].last_avail = 0
        JR.q[i].last_used = 0
        JR.q[i].head = -1
    memset(JR.binding, 0, sizeof(JR.binding))


# ---- accepted calls ----

cdef inline bint has_rings() noexcept nogil:
    """A parent whose rings are judged: one that works on them itself."""
    return vdpa.parent == PARENT_SIM or vdpa.parent == PARENT_SIM_DMA


cdef void judge_ring_ioctl(int cmd, const IoctlArg* arg) noexcept nogil:
    """What an accepted ioctl means for rings and configuration."""
    if not has_rings():
        return
    if cmd == CMD_SET_VRING_NUM:
        JR.q[arg.index].num = arg.num
    elif cmd == CMD_SET_VRING_ADDR:
        JR.q[arg.index].desc = arg.desc
        JR.q[arg.index].avail = arg.avail
        JR.q[arg.index].used = arg.used
    elif cmd == CMD_SET_VRING_BASE:
        JR.q[arg.index].last_avail = <uint16_t>arg.num
    elif cmd == CMD_SET_VRING_ENABLE:
        judge_ring_enable(arg)
    elif cmd == CMD_SET_GROUP_ASID:
        JR.binding[arg.index] = arg.num
    elif cmd == CMD_SET_CONFIG:
        judge_ring_set_config(arg)
    elif cmd == CMD_GET_CONFIG:
        judge_ring_get_config(arg)


cdef void judge_ring_enable(const IoctlArg* arg) noexcept nogil:
    """Size and addresses count from when a queue is enabled; used and available start alike."""
    cdef JudgeQueue* b = &JR.q[arg.index]
    if arg.num and not b.ready:
        b.no_size = b.num == 0
        b.ring.num = b.num
        b.ring.desc = b.desc
        b.ring.avail = b.avail
        b.ring.used = b.used
        b.last_used = b.last_avail
        b.head = -1
    b.ready = arg.num != 0


cdef inline bint is_disk() noexcept nogil:
    return has_rings() and vdpa.device_id == VIRTIO_ID_BLOCK


cdef void judge_disk_config() noexcept nogil:
    """struct virtio_blk_config of a disk: its size, and how large requests may be. A driver that
    agreed on nothing else writes none of it."""
    cdef int i
    memset(JR.config, 0, sizeof(JR.config))
    JR.config[2] = BLK_CAPACITY >> 16
    JR.config[9] = BLK_SIZE_MAX >> 8
    JR.config[12] = BLK_SEG_MAX
    JR.config[21] = 512 >> 8        # blk_size
    JR.config[26] = 1               # min_io_size
    JR.config[28] = 1               # opt_io_size
    JR.config[34] = 1               # num_queues
    JR.config[40] = 1               # max_discard_seg
    JR.config[45] = 512 >> 8        # discard_sector_alignment
    JR.config[52] = 1               # max_write_zeroes_seg
    for i in range(4):
        JR.config[36 + i] = 0xff    # max_discard_sectors
        JR.config[48 + i] = 0xff    # max_write_zeroes_sectors


cdef void judge_ring_set_config(const IoctlArg* arg) noexcept nogil:
    cdef uint32_t i
    if is_disk():
        return
    for i in range(arg.len):
        JR.config[arg.num + i] = <uint8_t>(arg.flags + i)


cdef void judge_ring_get_config(const IoctlArg* arg) noexcept nogil:
    """V40: what was set, and the link is up."""
    cdef uint32_t i
    cdef uint8_t got
    if not is_disk():
        JR.config[NET_CONFIG_STATUS] = VIRTIO_NET_S_LINK_UP
        JR.config[NET_CONFIG_STATUS + 1] = 0
    for i in range(min(arg.len, <uint32_t>8)):
        got = <uint8_t>(arg.desc >> (8 * i))
        if unlikely(got != JR.config[arg.num + i]):
            violation(CHECK_V40, b"judge_config:value", b"config", arg.num + i,
                      b"byte %lld of the configuration is read as %lld, and is %lld", arg.num + i,
                      got, JR.config[arg.num + i])


# ---- translation ----

cdef inline int judge_queue(const Vringh* vrh) noexcept nogil:
    """Whose ring this is; -1: no queue's."""
    cdef int q
    for q in range(NVQS_MAX):
        if vrh == &sim_vqs[q].vring:
            return q
    return -1


cdef inline JudgeAs* space_of(int q) noexcept nogil:
    return &J_as[JR.binding[vdpa.group_of[q]]]


cdef const Seg* judge_find(JudgeAs* as_, uint64_t addr) noexcept nogil:
    """The mapping that the device has for this address, or NULL."""
    cdef int i
    if JR.hint < as_.n_dev and as_.dev[JR.hint].start <= addr <= as_.dev[JR.hint].last:
        return &as_.dev[JR.hint]
    for i in range(as_.n_dev):
        if as_.dev[i].start <= addr <= as_.dev[i].last:
            JR.hint = i
            return &as_.dev[i]
    return NULL


cdef enum:
    SPAN_OK = 0
    SPAN_UNMAPPED = 1
    SPAN_PERMISSION = 2
    SPAN_HOLE = 3               # mapped, but the process has nothing there


cdef int judge_user(uint64_t uaddr, uint64_t n, bint write) noexcept nogil:
    """With user addresses: can the process itself do this?"""
    cdef const Upage* u
    cdef uint64_t at = uaddr & ~<uint64_t>PAGE_MASK_LOW
    while at < uaddr + n:
        u = upage_of(at)
        if u == NULL or (write and u.readonly):
            return SPAN_HOLE
        at += PAGE_SIZE
    return SPAN_OK


cdef int judge_span(int q, uint64_t addr, uint64_t len, bint write) noexcept nogil:
    """May the device access [addr, addr + len)? The first thing that is against it."""
    cdef JudgeAs* as_ = space_of(q)
    cdef const Seg* s
    cdef uint64_t part
    if len and addr + len - 1 < addr:
        return SPAN_UNMAPPED
    while len:
        s = judge_find(as_, addr)
        if s == NULL:
            return SPAN_UNMAPPED
        if not (s.perm & (VHOST_ACCESS_WO if write else VHOST_ACCESS_RO)):
            return SPAN_PERMISSION
        part = min(len, s.last - addr + 1)
        if vdpa.use_va and judge_user(s.addr + (addr - s.start), part, write):
            return SPAN_HOLE
        addr += part
        len -= part
    return SPAN_OK


cdef bint judge_fetch(int q, uint64_t addr, uint64_t len, uint8_t* buf) noexcept nogil:
    """The bytes that the device can read there; False if it cannot read all, then some of them."""
    cdef JudgeAs* as_ = space_of(q)
    cdef const Seg* s
    cdef uint64_t at
    cdef uint32_t part, off
    if len and addr + len - 1 < addr:
        return False
    while len:
        s = judge_find(as_, addr)
        if s == NULL or not (s.perm & VHOST_ACCESS_RO):
            return False
        at = s.addr + (addr - s.start)
        off = <uint32_t>(at & PAGE_MASK_LOW)
        part = <uint32_t>min(min(len, s.last - addr + 1), <uint64_t>(PAGE_SIZE - off))
        if vdpa.use_va and judge_user(at, part, False):
            return False
        frame_copy(upage_of(at).frame - 1 if vdpa.use_va else <int>((at >> PAGE_SHIFT) - PFN_BASE),
                   off, part, buf, False)
        addr += part
        buf += part
        len -= part
    return True


cdef inline void judge_search(const Vringh* vrh, uint64_t addr, uint64_t len,
                              uint64_t last) noexcept nogil:
    """V29: what is looked up are the bytes of the access that are left, and no others."""
    if unlikely(last != addr + len - 1):
        violation(CHECK_V29, b"judge_search:range", b"access", <int64_t>addr,
                  b"an access up to %lld looks for mappings up to %lld", <int64_t>(addr + len - 1),
                  <int64_t>last, 0)


cdef void judge_fragment(const Vringh* vrh, uint64_t addr, uint64_t pa, uint64_t len,
                         const Map* map) noexcept nogil:
    """One fragment of a translation. V28: of a mapping that there is; V5, V29: of the right one."""
    cdef int q = judge_queue(vrh)
    cdef const Seg* s
    if q < 0:
        return
    s = judge_find(space_of(q), addr)
    if s == NULL:
        if is_identity(map):
            violation(CHECK_V28, b"iotlb_translate:identity", b"queue", q,
                      b"queue %lld accesses %lld, which nobody mapped: physical memory", q,
                      <int64_t>addr, 0)
        violation(CHECK_V28, b"judge_fragment:unmapped", b"queue", q,
                  b"queue %lld accesses %lld, which nobody mapped", q, <int64_t>addr, 0)
    if unlikely(map.start != s.start or map.last != s.last):
        violation(CHECK_V5, b"judge_fragment:lookup", b"queue", q,
                  b"a look-up of %lld gives the mapping at %lld instead of the one at %lld",
                  <int64_t>addr, <int64_t>map.start, <int64_t>s.start)
    if unlikely(pa != s.addr + (addr - s.start) or len - 1 > s.last - addr):
        violation(CHECK_V29, b"judge_fragment:address", b"queue", q,
                  b"%lld is translated to %lld, must be %lld", <int64_t>addr, <int64_t>pa,
                  <int64_t>(s.addr + (addr - s.start)))


cdef inline void judge_user_access(uint32_t done, uint32_t asked) noexcept nogil:
    """Bytes of the process were copied, or not all of them."""
    if unlikely(done != asked):
        JR.short_copy = True


cdef void judge_copy(const Vringh* vrh, uint64_t addr, uint64_t len, bint write,
                     bint done) noexcept nogil:
    """An access was made, or refused. V28, V30: it was allowed; V29: what is allowed is done."""
    cdef int q = judge_queue(vrh)
    cdef int span
    if q < 0:
        return
    span = judge_span(q, addr, len, write)
    if JR.short_copy and span == SPAN_OK:
        span = SPAN_HOLE
    JR.short_copy = False
    if likely(done == (span == SPAN_OK)):
        return
    if not done:
        if not W.faults_fired:
            violation(CHECK_V29, b"judge_copy:refused", b"queue", q,
                      b"queue %lld is refused %lld bytes at %lld, which are mapped", q,
                      <int64_t>len, <int64_t>addr)
    elif span == SPAN_UNMAPPED:
        violation(CHECK_V28, b"judge_copy:unmapped", b"queue", q,
                  b"queue %lld accesses %lld bytes at %lld, of which some are not mapped", q,
                  <int64_t>len, <int64_t>addr)
    elif span == SPAN_PERMISSION:
        violation(CHECK_V30, b"judge_copy:permission", b"queue", q,
                  b"queue %lld accesses %lld bytes at %lld without the right to", q, <int64_t>len,
                  <int64_t>addr)
    else:
        violation(CHECK_V29, b"judge_copy:short", b"queue", q,
                  b"%lld bytes at %lld of queue %lld count as copied, but some are not there",
                  <int64_t>len, <int64_t>addr, q)


cdef void judge_putu16(const Vringh* vrh, uint64_t addr, uint16_t val, bint done) noexcept nogil:
    """The used index is written. V30: as the mapping allows; V35: it goes on by one."""
    cdef int q = judge_queue(vrh)
    cdef int span
    if q < 0:
        return
    if unlikely(addr != JR.q[q].ring.used + 2 or val != <uint16_t>(JR.q[q].last_used + 1)):
        violation(CHECK_V35, b"judge_putu16:index", b"queue", q,
                  b"the used index of queue %lld becomes %lld after %lld", q, val,
                  JR.q[q].last_used)
    JR.short_copy = False
    span = judge_span(q, addr, 2, True)
    if done and span == SPAN_PERMISSION:
        violation(CHECK_V30, b"putu16_iotlb:read_only", b"queue", q,
                  b"the used index of queue %lld is written through a mapping for reading", q, 0, 0)
    if not done and span == SPAN_OK and not W.faults_fired:
        violation(CHECK_V30, b"putu16_iotlb:write_only", b"queue", q,
                  b"the used index of queue %lld may be written, and is not", q, 0, 0)


# ---- chains ----

cdef inline void judge_xfer_turn(uint32_t turns, uint32_t used) noexcept nogil:
    """V32: each turn of a transfer leaves a segment behind, or is the last."""
    if unlikely(turns > used):
        violation(CHECK_V32, b"vringh_iov_xfer:stall", b"chain", W.op,
                  b"a transfer of %lld segments takes %lld turns", used, turns, 0)


cdef inline void judge_walk_begin() noexcept nogil:
    JR.ring_fetches = 0


cdef void judge_walk(const Vringh* vrh, bint indirect, uint32_t i, uint32_t size) noexcept nogil:
    """A descriptor is read. V31: it is in its table. V32: a walk through the ring's own table ends
    when each descriptor in it was read."""
    if unlikely(indirect and i >= size):
        violation(CHECK_V31, b"judge_walk:empty_table", b"chain", W.op,
                  b"descriptor %lld is read of an indirect table of %lld", i, size, 0)
    if not indirect:
        JR.ring_fetches += 1
    # a plain loop is noticed with the descriptor that is one too many
    if unlikely(JR.ring_fetches > size + 1 and not indirect):
        violation(CHECK_V32, b"__vringh_iov:indirect_cycle", b"chain", W.op,
                  b"descriptor %lld is the %lld-th that is read of a table of %lld", i,
                  JR.ring_fetches, size)


cdef int judge_chain_table(int q, uint64_t table, uint32_t size, bint nested, uint32_t i,
                           Chain* c) noexcept nogil:
    """The chain from descriptor i of a table on: 0, -1 if it is bad. `nested`: an indirect one."""
    cdef uint8_t[16] raw
    cdef VringDesc d
    cdef ChainSeg* s
    cdef uint32_t seen = 0
    while True:
        if i >= size or seen == size:
            return -1
        seen += 1
        if not judge_fetch(q, table + 16 * <uint64_t>i, 16, raw):
            return -1
        desc_parse(raw, &d)
        if d.flags & VRING_DESC_F_INDIRECT:
            if nested or d.len & 15:
                return -1
            if judge_chain_table(q, d.addr, d.len >> 4, True, 0, c):
                return -1
            if d.flags & VRING_DESC_F_NEXT and d.next == 0:
                violation(CHECK_V31, b"judge_chain:next0", b"queue", q,
                          b"descriptor %lld of queue %lld is followed by descriptor 0", i, q, 0)
        else:
            s = &c.segs[c.n]
            s.write = (d.flags & VRING_DESC_F_WRITE) != 0
            if not s.write and c.n and c.segs[c.n - 1].write:
                return -1
            # a queue for one direction
            if not is_disk() and ((q == VQ_TX and s.write) or (q == VQ_RX and not s.write)):
                return -1
            if c.n == CHAIN_MAX - 1:
                return -1
            s.addr = d.addr
            s.len = d.len
            c.n += 1
        if not (d.flags & VRING_DESC_F_NEXT):
            return 0
        i = d.next


cdef void judge_segments(int q, const Kiov* iov, bint write) noexcept nogil:
    """V31: the vector has the segments of this direction."""
    cdef const Chain* c = &JR.q[q].chain
    cdef uint32_t n = 0
    cdef int i
    cdef bint same = True
    for i in range(c.n):
        if c.segs[i].write == write:
            if iov == NULL or n >= iov.used or (iov.iov[n].base != c.segs[i].addr
                                                or iov.iov[n].len != c.segs[i].len):
                same = False
                break
            n += 1
    if iov != NULL and n != iov.used:
        same = False
    if unlikely(not same):
        violation(CHECK_V31, b"judge_getdesc:segments", b"queue", q,
                  b"the vectors of queue %lld are not the chain's", q, 0, 0)


cdef bint judge_next(int q, uint16_t* head) noexcept nogil:
    """Can the head of the next chain be read? *head is its number; none: no chain."""
    cdef JudgeQueue* b = &JR.q[q]
    cdef uint8_t[2] raw
    head[0] = 0
    if not judge_fetch(q, b.ring.avail + 2, 2, raw) or le16(raw) == b.last_avail:
        return False
    if not judge_fetch(q, b.ring.avail + 4 + 2 * <uint64_t>(b.last_avail & (b.ring.num - 1)), 2,
                       raw):
        return False
    head[0] = le16(raw)
    return True


cdef void judge_getdesc(const Vringh* vrh, const Kiov* riov, const Kiov* wiov, uint16_t head,
                        int ret) noexcept nogil:
    """A chain was taken (1), or none, or a bad one. V38: of a queue that runs. V31: exactly if it
    is good. V32: a run takes no more chains than the ring has room for."""
    cdef int q = judge_queue(vrh)
    cdef JudgeQueue* b
    cdef uint16_t expected
    cdef bint good
    if q < 0:
        return
    b = &JR.q[q]
    if unlikely(not b.ready):
        violation(CHECK_V38, b"judge_run:not_ready", b"queue", q,
                  b"queue %lld is worked on, but not enabled", q, 0, 0)
    if unlikely(b.no_size):
        violation(CHECK_V43, b"judge_run:no_size", b"queue", q,
                  b"queue %lld is worked on, but no size was set", q, 0, 0)
    if unlikely(W.faults_fired and ret < 0):
        b.last_avail = vrh.last_avail_idx
        return
    if not judge_next(q, &expected) or expected >= b.ring.num:
        if unlikely(ret > 0):
            violation(CHECK_V34, b"judge_getdesc:none", b"queue", q,
                      b"a chain is taken from queue %lld, which has none", q, 0, 0)
        return
    if unlikely(b.head >= 0):
        violation(CHECK_V34, b"judge_getdesc:out", b"queue", q,
                  b"a chain is taken from queue %lld, whose chain %lld was not used", q, b.head, 0)
    b.last_avail += 1
    b.taken += 1
    # a bound that is no ring's is one all the same
    if unlikely(b.taken > (max(b.ring.num, <uint32_t>16) if is_disk() else b.ring.num)):
        violation(CHECK_V32, R_run_site, b"queue", q,
                  b"a run takes %lld chains from queue %lld, which has room for %lld", b.taken, q,
                  b.ring.num)
    b.chain.n = 0
    good = judge_chain_table(q, b.ring.desc, b.ring.num, False, expected, &b.chain) == 0
    if unlikely(ret > 0 and not good):
        violation(CHECK_V31, b"judge_getdesc:accepted", b"queue", q,
                  b"chain %lld of queue %lld is taken, but is bad", expected, q, 0)
    if unlikely(ret <= 0 and good):
        violation(CHECK_V31, b"judge_getdesc:refused", b"queue", q,
                  b"chain %lld of queue %lld is refused with %lld, but is good", expected, q, -ret)
    if ret <= 0:
        return
    if unlikely(head != expected):
        violation(CHECK_V34, b"judge_getdesc:head", b"queue", q,
                  b"chain %lld of queue %lld is taken instead of %lld", head, q, expected)
    judge_segments(q, riov, False)
    judge_segments(q, wiov, True)
    b.head = head
    b.written = 0


# ---- data ----

cdef int64_t chain_read(int q, uint64_t off, uint8_t* buf, uint64_t n) noexcept nogil:
    """Bytes [off, off + n) of what the chain lets the device read, unless buf is NULL: how many
    there are, -1 if some of them cannot be read."""
    cdef const Chain* c = &JR.q[q].chain
    cdef uint64_t done = 0, part, at
    cdef int i
    for i in range(c.n):
        if c.segs[i].write:
            break
        if off >= c.segs[i].len:
            off -= c.segs[i].len
            continue
        part = min(n - done, c.segs[i].len - off)
        at = c.segs[i].addr + off
        off = 0
        if part == 0:
            break
        if buf == NULL:
            if judge_span(q, at, part, False):
                return -1
        elif not judge_fetch(q, at, part, buf + done):
            return -1
        done += part
    return <int64_t>done


cdef void judge_pull(int q, int64_t ret, const uint8_t* buf, uint32_t n) noexcept nogil:
    """A packet was read. V29: all of it, up to n bytes, and what the guest wrote."""
    JR.packet_len = chain_read(q, 0, JR.packet, n)
    if W.faults_fired:
        if ret < 0:
            JR.packet_len = -1
        return
    if unlikely(JR.packet_len != (ret if ret >= 0 else -1)):
        violation(CHECK_V29, b"judge_pull:length", b"queue", q,
                  b"reading a packet gives %lld, must give %lld", ret, JR.packet_len, 0)
    if unlikely(ret > 0 and memcmp(JR.packet, buf, <size_t>ret) != 0):
        violation(CHECK_V29, b"judge_pull:content", b"queue", q,
                  b"a packet of %lld bytes is not read as the guest wrote it", ret, 0, 0)


cdef inline void judge_length(int64_t n, site_t site) noexcept nogil:
    """A result is used as a length. V37: it is one."""
    if unlikely(n < 0):
        violation(CHECK_V37, site, b"queue", W.op, b"errno %lld is used as a length", -n, 0, 0)


cdef void judge_filter(bint passed) noexcept nogil:
    """V41: it is for all, for many, or for the device's address, all six bytes of it."""
    cdef uint32_t hdr_len = 12 if JN.features & bit(VIRTIO_F_VERSION_1) else 10
    cdef const uint8_t* dst = JR.packet + hdr_len
    cdef bint mine = JR.packet_len >= <int64_t>(hdr_len + ETH_ALEN) and (
        dst[0] & 1 or memcmp(dst, JR.config, ETH_ALEN) == 0)
    cdef int i = 0
    if likely(passed == mine):
        return
    if not passed:
        violation(CHECK_V41, b"judge_filter:dropped", b"packet", W.op,
                  b"a packet of %lld bytes for this device is dropped", JR.packet_len, 0, 0)
    # alike up to a byte of 0
    while i < ETH_ALEN and dst[i] == JR.config[i] and dst[i]:
        i += 1
    if i < ETH_ALEN and dst[i] == JR.config[i] and JR.packet_len >= <int64_t>hdr_len + ETH_ALEN:
        violation(CHECK_V41, b"judge_filter:prefix", b"packet", W.op,
                  b"a packet passes whose address is the device's in the first %lld bytes only",
                  i + 1, 0, 0)
    violation(CHECK_V41, b"judge_filter:passed", b"packet", W.op,
              b"a packet of %lld bytes passes that is for somebody else", JR.packet_len, 0, 0)


cdef void judge_packet(const uint8_t* buf, uint64_t n) noexcept nogil:
    """n bytes of buf go to the guest. V36: they are the packet's."""
    if unlikely(<int64_t>n != JR.packet_len or memcmp(buf, JR.packet, n) != 0):
        violation(CHECK_V36, b"judge_packet:bytes", b"packet", W.op,
                  b"%lld bytes are sent to the guest, the packet has %lld", <int64_t>n,
                  JR.packet_len, 0)


cdef void judge_push_data(int q, int64_t ret, uint64_t n) noexcept nogil:
    """Bytes were written to the chain of queue q. V33: as many as fit."""
    cdef JudgeQueue* b = &JR.q[q]
    cdef uint64_t room = 0
    cdef int i
    for i in range(b.chain.n):
        if b.chain.segs[i].write:
            room += b.chain.segs[i].len
    if ret < 0:
        JR.push_failed = True
        return
    if unlikely(<uint64_t>ret != min(n, room)):
        violation(CHECK_V33, b"judge_push_data:bytes", b"queue", q,
                  b"%lld bytes of %lld are written to a chain for %lld", ret, <int64_t>n,
                  <int64_t>room)
    JR.push_failed = ret == 0
    b.written += <uint64_t>ret


# ---- control queue ----

cdef void judge_command(uint8_t status) noexcept nogil:
    """A command was carried out. V39: its status is its own. V40: the address is the old one or
    the new one."""
    cdef uint8_t[8] raw
    cdef uint8_t[1] byte
    cdef int n = 0
    cdef uint8_t expected = VIRTIO_NET_ERR
    while n < 8 and chain_read(VQ_CTRL, n, byte, 1) == 1:
        raw[n] = byte[0]
        n += 1
    if n >= 2 and raw[0] == VIRTIO_NET_CTRL_MAC and raw[1] == VIRTIO_NET_CTRL_MAC_ADDR_SET:
        if n == 8:
            expected = VIRTIO_NET_OK
            if not W.faults_fired or status == VIRTIO_NET_OK:
                memcpy(JR.config, raw + 2, ETH_ALEN)
        if W.faults_fired:
            expected = status
    if unlikely(memcmp(vdpasim.config, JR.config, ETH_ALEN) != 0):
        violation(CHECK_V40, b"judge_command:torn", b"config", 0,
                  b"a command with %lld bytes of an address leaves one that was never set", n - 2,
                  0, 0)
    if unlikely(status != expected and n >= 1 and raw[0] != VIRTIO_NET_CTRL_MAC):
        violation(CHECK_V39, b"judge_command:stale_ack", b"command", W.op,
                  b"a command of class %lld is answered with the status of the one before", raw[0],
                  0, 0)
    if unlikely(status != expected):
        violation(CHECK_V39, b"judge_command:ack", b"command", W.op,
                  b"command %lld of class %lld is answered with %lld", raw[1], raw[0], status)


# ---- used ring ----

cdef void judge_used(const Vringh* vrh, uint64_t addr, uint16_t head, uint32_t len) noexcept nogil:
    """A used entry is written. V34: of the chain that is out; V33: with what was written to it;
    V35: in its place."""
    cdef int q = judge_queue(vrh)
    cdef JudgeQueue* b
    if q < 0:
        return
    b = &JR.q[q]
    if unlikely(b.head != head):
        violation(CHECK_V34, b"judge_used:head", b"queue", q,
                  b"chain %lld of queue %lld is used, out is %lld", head, q, b.head)
    if unlikely(len != b.written):
        violation(CHECK_V33, b"judge_used:length", b"queue", q,
                  b"%lld bytes were written to a chain of queue %lld, its used length is %lld",
                  <int64_t>b.written, q, len)
    if unlikely(addr != b.ring.used + 4 + 8 * <uint64_t>(b.last_used & (b.ring.num - 1))):
        violation(CHECK_V35, b"judge_used:place", b"queue", q,
                  b"used entry %lld of queue %lld is written to %lld", b.last_used, q,
                  <int64_t>addr)


cdef void judge_complete(const Vringh* vrh, int err) noexcept nogil:
    """The chain is used, or the guest has made its used ring inaccessible."""
    cdef int q = judge_queue(vrh)
    if q < 0:
        return
    JR.q[q].head = -1
    if err == 0:
        JR.q[q].last_used += 1


# ---- runs of work ----

cdef void judge_run_begin() noexcept nogil:
    """The device begins to work. V38: it was told to, and was not told to stop."""
    cdef int i
    if unlikely(not is_running()):
        violation(CHECK_V38, b"judge_run:stopped", b"device", 0,
                  b"a device with status %lld works on its queues", JN.status, 0, 0)
    if unlikely(JN.suspended):
        violation(CHECK_V38, b"judge_run:suspended", b"device", 0,
                  b"a device works on its queues that was suspended", 0, 0, 0)
    JR.push_failed = False
    JR.short_copy = False
    for i in range(NVQS_MAX):
        JR.q[i].taken = 0


cdef void judge_run_end() noexcept nogil:
    """V34: what was taken was used."""
    cdef int q
    for q in range(NVQS_MAX):
        if likely(JR.q[q].head < 0):
            continue
        if q == VQ_CTRL:
            violation(CHECK_V34, b"judge_run:command", b"queue", q,
                      b"command %lld is taken and never answered", JR.q[q].head, 0, 0)
        if is_disk():
            violation(CHECK_V34, b"judge_run:request", b"queue", q,
                      b"request %lld is taken and never used", JR.q[q].head, 0, 0)
        if JR.push_failed:
            violation(CHECK_V34, b"judge_run:push", b"queue", q,
                      b"a packet cannot be written to the guest, and chain %lld is lost",
                      JR.q[q].head, 0, 0)
        violation(CHECK_V34, b"judge_run:lost", b"queue", q,
                  b"chain %lld of queue %lld is taken and never used", JR.q[q].head, q, 0)


# ---- after each op ----

cdef void judge_ring(int q) noexcept nogil:
    """V26, V35, V43: table, positions and geometry are those of the accepted calls and chains."""
    cdef const VdpasimVirtqueue* vq = &sim_vqs[q]
    cdef const JudgeQueue* b = &JR.q[q]
    if unlikely(vq.vring.iotlb != <int>JR.binding[vdpa.group_of[q]]):
        violation(CHECK_V26, b"judge_ring:binding", b"queue", q,
                  b"queue %lld translates by table %lld, its group is bound to %lld", q,
                  vq.vring.iotlb, JR.binding[vdpa.group_of[q]])
    if unlikely(vq.ready and not b.no_size
                and (vq.vring.vring.num != b.ring.num or vq.vring.vring.desc != b.ring.desc
                     or vq.vring.vring.avail != b.ring.avail
                     or vq.vring.vring.used != b.ring.used)):
        violation(CHECK_V43, b"judge_ring:geometry", b"queue", q,
                  b"the ring of queue %lld has %lld entries, was enabled with %lld",
                  q, vq.vring.vring.num, b.ring.num)
    if unlikely(vq.vring.last_avail_idx != b.last_avail):
        violation(CHECK_V35, b"judge_ring:available", b"queue", q,
                  b"queue %lld is at available %lld, must be at %lld", q, vq.vring.last_avail_idx,
                  b.last_avail)
    if unlikely(<uint16_t>(vq.vring.last_used_idx + vq.vring.completed) != b.last_used):
        violation(CHECK_V35, b"judge_ring:used", b"queue", q,
                  b"queue %lld is at used %lld, must be at %lld", q,
                  vq.vring.last_used_idx + vq.vring.completed, b.last_used)


cdef void judge_rings() noexcept nogil:
    cdef int q
    for q in range(NVQS_MAX):
        judge_ring(q)
    if unlikely(vdpasim.running and not is_running()):
        violation(CHECK_V38, b"judge_rings:running", b"device", 0,
                  b"a device with status %lld is set running", JN.status, 0, 0)
