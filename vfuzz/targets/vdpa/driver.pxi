# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The guest and its driver: rings, packets, commands, well made or not.

Guest address g is byte g of the process' area, and the driver hands it to the device as IOVA. What
cannot be written fails with -EFAULT and changes nothing.
"""

cdef enum:
    INDIRECT_MAX = 24           # descriptors that a chain of the driver has

    BLK_DATA_MAX = 0x40000      # bytes of data that op blk has at most

    SCRIPT_MAX = 1 << 23        # bytes; more is for nobody to do again

cdef struct Driver:
    uint16_t[NVQS_MAX] slot     # the next descriptor of each queue

cdef Driver D
cdef uint8_t[512] D_ramp        # 0 to 255, twice


cdef void ramp_init():
    cdef int i
    # uncovered: it runs when the module is loaded, before anything counts
    for i in range(512):
        D_ramp[i] = <uint8_t>i


ramp_init()


cdef inline void driver_reset() noexcept nogil:
    memset(&D, 0, sizeof(D))
    S.size = 0


# ---- the script ----
#
# What the guest did in a traced run: for who makes a real device's guest do the same. What fails is
# in it too, and is the last thing of its op.

cdef enum ScriptKind:
    SCRIPT_STORE = 1            # n bytes, which follow, at `at` of the area
    SCRIPT_LOAD                 # n bytes there are read
    SCRIPT_KICK                 # eventfd `at` is signalled
    SCRIPT_RUN                  # the device works
    SCRIPT_CALL                 # the op (struct vf_op, which follows) is done
    SCRIPT_ANSWER               # the op ends with -at

cdef packed struct ScriptEntry:
    int16_t op
    uint16_t kind
    uint32_t n
    uint64_t at

cdef struct Script:
    uint32_t size               # SCRIPT_MAX + 1: too much happened
    uint8_t[SCRIPT_MAX] bytes

cdef Script S


cdef cold_void script_add(int kind, uint64_t at, uint32_t n, const void* bytes) noexcept nogil:
    cdef ScriptEntry e
    cdef uint32_t stored = 0 if bytes == NULL else n
    if S.size + sizeof(ScriptEntry) + stored > SCRIPT_MAX:
        S.size = SCRIPT_MAX + 1     # uncovered: no program of the corpus does that much
        return                      # uncovered: as above
    e.op = <int16_t>W.op
    e.kind = <uint16_t>kind
    e.n = n
    e.at = at
    memcpy(&S.bytes[S.size], &e, sizeof(e))
    S.size += sizeof(e)
    if stored:
        memcpy(&S.bytes[S.size], bytes, stored)
        S.size += stored


cdef inline void script(int kind, uint64_t at, uint32_t n, const void* bytes) noexcept nogil:
    """Remember it; free unless the run is traced."""
    if unlikely(W_trace):
        script_add(kind, at, n, bytes)


def guest_script():
    """What the guest did in the last traced run, as bytes (struct ScriptEntry); None: too much."""
    return None if S.size > SCRIPT_MAX else (<const char*>S.bytes)[:S.size]


cdef inline void ramp(uint8_t* at, uint32_t first, uint32_t n, uint32_t skip) noexcept nogil:
    """n bytes that count up from `first`, and by `skip` more after each 256 of them."""
    cdef uint32_t part
    while n:
        part = min(n, <uint32_t>256)
        memcpy(at, &D_ramp[first & 255], part)
        at += part
        n -= part
        first += skip


# ---- memory ----

cdef int guest_access(uint64_t at, uint32_t n, uint8_t* buf, bint write) noexcept nogil:
    """All n bytes at byte `at` of the area, or -EFAULT."""
    cdef const Upage* u
    cdef uint32_t done = 0, off, part
    cdef int pass_
    script(SCRIPT_STORE if write else SCRIPT_LOAD, at, n, buf if write else NULL)
    for pass_ in range(2):
        done = 0
        while done < n:
            u = upage_of(UAREA_BASE + at + done)
            if u == NULL or (write and u.readonly):
                return -EFAULT
            off = <uint32_t>((at + done) & PAGE_MASK_LOW)
            part = min(n - done, PAGE_SIZE - off)
            if pass_:
                frame_copy(u.frame - 1, off, part, buf + done, write)
            done += part
    return 0


cdef inline uint64_t ring_page(uint32_t q, uint32_t which) noexcept nogil:
    """0 descriptors, 1 available, 2 used, 3 indirect tables."""
    return <uint64_t>(4 * q + which) << PAGE_SHIFT


cdef inline uint32_t guest_ring_size(uint32_t q) noexcept nogil:
    """What the guest believes; before it has said so, 16."""
    return v_vqs[q].num if v_vqs[q].num > 1 and v_vqs[q].num <= QUEUE_NUM_MAX else 16


cdef int put_desc(uint64_t table, uint32_t slot, uint64_t addr, uint32_t len, uint32_t flags,
                  uint32_t next) noexcept nogil:
    cdef uint8_t[16] raw
    cdef int i
    for i in range(8):
        raw[i] = <uint8_t>(addr >> (8 * i))
    for i in range(4):
        raw[8 + i] = <uint8_t>(len >> (8 * i))
    for i in range(2):
        raw[12 + i] = <uint8_t>(flags >> (8 * i))
        raw[14 + i] = <uint8_t>(next >> (8 * i))
    return guest_access(table + 16 * <uint64_t>slot, 16, raw, True)


cdef int put_u16(uint64_t at, uint32_t value) noexcept nogil:
    cdef uint8_t[2] raw
    raw[0] = <uint8_t>value
    raw[1] = <uint8_t>(value >> 8)
    return guest_access(at, 2, raw, True)


cdef int publish(uint32_t q, uint32_t head, uint32_t count) noexcept nogil:
    """Make the chain at `head` available, count times."""
    cdef uint8_t[2] raw
    cdef uint16_t idx
    cdef uint32_t i
    cdef int r = guest_access(ring_page(q, 1) + 2, 2, raw, False)
    if r:
        return r
    idx = le16(raw)
    for i in range(count):
        r = put_u16(ring_page(q, 1) + 4 + 2 * (idx & (guest_ring_size(q) - 1)), head)
        if r:
            return r
        idx += 1
    return put_u16(ring_page(q, 1) + 2, idx)


# ---- chains ----

cdef struct Piece:
    uint64_t addr
    uint32_t len
    uint32_t flags

cdef struct Pieces:
    int n
    Piece[2 * INDIRECT_MAX + 2] piece

cdef void cut(Pieces* p, uint64_t addr, uint32_t len, uint32_t n, uint32_t flags) noexcept nogil:
    """n descriptors for len bytes, of equal size, the last gets the rest; all are empty but the
    last if there are fewer bytes than descriptors."""
    cdef uint32_t i, part = len // n
    for i in range(n):
        p.piece[p.n].addr = addr
        p.piece[p.n].len = part if i < n - 1 else len
        p.piece[p.n].flags = flags
        p.n += 1
        addr += part
        len -= part


cdef int offer(uint32_t q, const Pieces* p, bint indirect) noexcept nogil:
    """Write the chain and make it available: 0, -EFAULT."""
    cdef uint32_t size = guest_ring_size(q), slot = D.slot[q], at, next, head = slot & (size - 1)
    cdef uint64_t table = ring_page(q, 3) if indirect else ring_page(q, 0)
    cdef int i, r
    # each head has its place in the page of indirect tables
    if indirect:
        table += <uint64_t>16 * ((head * INDIRECT_MAX) & 127)
    for i in range(p.n):
        at = i if indirect else (slot + i) & (size - 1)
        next = 0 if i == p.n - 1 else i + 1 if indirect else (slot + i + 1) & (size - 1)
        r = put_desc(table, at, p.piece[i].addr, p.piece[i].len,
                     p.piece[i].flags | (VRING_DESC_F_NEXT if i < p.n - 1 else 0), next)
        if r:
            return r
    if indirect:
        r = put_desc(ring_page(q, 0), head, table, 16 * p.n, VRING_DESC_F_INDIRECT, 0)
        if r:
            return r
    D.slot[q] = <uint16_t>(slot + (1 if indirect else p.n))
    return publish(q, head, 1)


# ---- requests of a disk ----

cdef uint8_t[BLK_HEADER + BLK_DATA_MAX] D_data     # header and data of a request


cdef void put_le(uint8_t* at, uint32_t width, uint64_t value) noexcept nogil:
    cdef uint32_t i
    for i in range(width):
        at[i] = <uint8_t>(value >> (8 * i))


cdef uint32_t blk_data(const vf_op* op, uint32_t type) noexcept nogil:
    """Header and data of a request, to D_data: bytes of data."""
    cdef uint32_t n = op.arg[BLK_LEN]
    cdef bint ranged = type == VIRTIO_BLK_T_DISCARD or type == VIRTIO_BLK_T_WRITE_ZEROES
    cdef uint64_t sector = op.arg[BLK_SECTOR]
    put_le(D_data, 4, type)
    put_le(D_data + 4, 4, 0)
    if type != VIRTIO_BLK_T_IN and type != VIRTIO_BLK_T_OUT:
        if op.arg[BLK_SHAPE] != BLK_SHAPE_HEADER_SECTOR:
            sector = 0
    put_le(D_data + 8, 8, sector)
    if ranged:
        put_le(D_data + BLK_HEADER, 8, op.arg[BLK_SECTOR])
        put_le(D_data + BLK_HEADER + 8, 4, op.arg[BLK_NUM])
        put_le(D_data + BLK_HEADER + 12, 4, op.arg[BLK_FLAGS])
        return BLK_RANGE + (op.arg[BLK_SHAPE] == BLK_SHAPE_LONG_RANGE)
    if type == VIRTIO_BLK_T_FLUSH:
        return 0
    # no two of the blocks that a disk has are alike
    ramp(D_data + BLK_HEADER, <uint32_t>W.op * 16, n, 1)
    return n


cdef inline bint blk_reads(uint32_t type) noexcept nogil:
    """Does the guest read what the disk has?"""
    return type == VIRTIO_BLK_T_IN or type == VIRTIO_BLK_T_GET_ID


cdef void blk_pieces(const vf_op* op, Pieces* p, uint64_t at, uint32_t n,
                     bint reads) noexcept nogil:
    """The descriptors of a request whose header is at `at`; data and status follow it."""
    cdef uint32_t shape = op.arg[BLK_SHAPE], pieces = op.arg[BLK_PIECES]
    cdef uint32_t write = VRING_DESC_F_WRITE if reads else 0
    cdef uint64_t nowhere = <uint64_t>UAREA_PAGES << PAGE_SHIFT
    cdef uint64_t data = at + BLK_HEADER
    p.n = 0
    if shape == BLK_SHAPE_STATUS_FIRST:
        cut(p, data + n, 1, 1, VRING_DESC_F_WRITE)
    if shape == BLK_SHAPE_JOINED:
        cut(p, at, BLK_HEADER if reads else BLK_HEADER + n, 1 if reads else pieces, 0)
        cut(p, data if reads else data + n, n + 1 if reads else 1, pieces if reads else 1,
            VRING_DESC_F_WRITE)
        return
    if shape != BLK_SHAPE_NO_HEADER:
        cut(p, at, BLK_HEADER - (shape == BLK_SHAPE_SHORT_HEADER), 1, 0)
    if shape == BLK_SHAPE_GAP:
        cut(p, data, n >> 1, pieces, write)
        cut(p, nowhere, n - (n >> 1), 1, write)
    elif n and shape != BLK_SHAPE_SHORT_HEADER:
        cut(p, data, n, pieces, write)
    if shape != BLK_SHAPE_NO_STATUS and shape != BLK_SHAPE_STATUS_FIRST:
        cut(p, nowhere if shape == BLK_SHAPE_STATUS_UNMAPPED else data + n,
            shape != BLK_SHAPE_EMPTY_STATUS, 1, VRING_DESC_F_WRITE)


cdef int op_blk(const vf_op* op) noexcept nogil:
    cdef uint8_t[8] raw
    cdef Pieces p
    cdef uint64_t at = (<uint64_t>op.arg[BLK_PAGE] << PAGE_SHIFT) + op.arg[BLK_OFF]
    cdef uint32_t* types = [VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH,
                            VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
                            99]
    cdef uint32_t type = types[op.arg[BLK_TYPE]]
    cdef uint32_t n = blk_data(op, type)
    cdef bint reads = blk_reads(type)
    cdef int r = guest_access(at, BLK_HEADER if reads else BLK_HEADER + n, D_data, True)
    # nobody answered yet
    raw[0] = 0x5a
    if r == 0:
        r = guest_access(at + BLK_HEADER + n, 1, raw, True)
    if r:
        return r
    blk_pieces(op, &p, at, n, reads)
    r = offer(0, &p, op.arg[BLK_INDIRECT] != 0)
    if r == 0:
        r = then(op.arg[BLK_THEN], 0)
    if r == 0 and W_trace and guest_access(at + BLK_HEADER + n, 1, raw, False) == 0:
        obs(b"status", raw[0])
        if reads and n >= 8 and guest_access(at + BLK_HEADER, 8, raw, False) == 0:
            obs(b"data", <int64_t>(<uint64_t>le32(raw) | <uint64_t>le32(raw + 4) << 32))
    return r


# ---- ops ----

cdef int kick(uint32_t q) noexcept nogil:
    """write(2) to the queue's kick eventfd; -ENOENT without one."""
    if not J.opened or v_vqs[q].kick == 0:
        return -ENOENT
    script(SCRIPT_KICK, <uint64_t>v_vqs[q].kick, 0, NULL)
    eventfd_signal(v_vqs[q].kick, b"kick:signal")
    return 0


cdef int then(uint32_t what, uint32_t q) noexcept nogil:
    """What follows on an offer: nothing, a kick, a kick and work until the device rests."""
    if what == SEND_THEN_NOTHING:
        return 0
    kick(q)
    if what == SEND_THEN_RUN:
        work(8)
    return 0


cdef int work(int count) noexcept nogil:
    cdef int n
    if not vdpa.exists or not has_rings():
        return -ENODEV
    script(SCRIPT_RUN, 0, 0, NULL)
    n = vdpasim_work(count)
    obs(b"runs", n)
    obs(b"pending", sim_net.work_pending)
    obs_contents(CONTENTS_FEW)
    event(0x600 + <uint32_t>min(n, 7) * 8 + sim_net.work_pending)
    return 0


cdef int op_send(const vf_op* op) noexcept nogil:
    cdef uint8_t[SIM_BUFFER] packet
    cdef Pieces p
    cdef uint64_t at = (<uint64_t>op.arg[SEND_PAGE] << PAGE_SHIFT) + op.arg[SEND_OFF]
    cdef uint32_t n = min(op.arg[SEND_LEN], <uint32_t>SIM_BUFFER), dst = op.arg[SEND_DST]
    cdef uint32_t hdr_len = 12 if JN.features & bit(VIRTIO_F_VERSION_1) else 10
    cdef uint8_t* mac = packet + hdr_len
    cdef int r
    memset(packet, 0, hdr_len + ETH_ALEN)
    if n > hdr_len + ETH_ALEN:
        ramp(mac + ETH_ALEN, <uint32_t>W.op * 16 + hdr_len + ETH_ALEN, n - hdr_len - ETH_ALEN, 0)
    if dst == SEND_DST_OWN or dst == SEND_DST_PREFIX:
        memcpy(mac, vdpasim.config, ETH_ALEN)
        if dst == SEND_DST_PREFIX:
            mac[ETH_ALEN - 1] ^= 0xff
    elif dst == SEND_DST_BROADCAST:
        memset(mac, 0xff, ETH_ALEN)
    else:
        memset(mac, 0x11 if dst == SEND_DST_MULTICAST else 0x22, ETH_ALEN)
    r = guest_access(at, n, packet, True)
    if r:
        return r
    p.n = 0
    cut(&p, at, op.arg[SEND_LEN], op.arg[SEND_PIECES], 0)
    r = offer(VQ_TX, &p, op.arg[SEND_INDIRECT] != 0)
    return r if r else then(op.arg[SEND_THEN], VQ_TX)


cdef int op_rx(const vf_op* op) noexcept nogil:
    cdef Pieces p
    cdef uint64_t at = (<uint64_t>op.arg[RX_PAGE] << PAGE_SHIFT) + op.arg[RX_OFF]
    cdef uint32_t i
    cdef int r
    for i in range(op.arg[RX_COUNT]):
        p.n = 0
        cut(&p, at, op.arg[RX_LEN], op.arg[RX_PIECES], VRING_DESC_F_WRITE)
        r = offer(VQ_RX, &p, op.arg[RX_INDIRECT] != 0)
        if r:
            return r
        at += op.arg[RX_LEN]
    return then(op.arg[RX_THEN], VQ_RX)


cdef int op_cvq(const vf_op* op) noexcept nogil:
    cdef uint8_t[2 + 64 + 1] raw
    cdef Pieces p
    cdef uint64_t at = (<uint64_t>op.arg[CVQ_PAGE] << PAGE_SHIFT) + op.arg[CVQ_OFF]
    cdef uint32_t len = op.arg[CVQ_LEN], i, ack = op.arg[CVQ_ACK]
    cdef int r
    raw[0] = <uint8_t>op.arg[CVQ_CLS]
    raw[1] = <uint8_t>op.arg[CVQ_CMD]
    for i in range(len):
        raw[2 + i] = <uint8_t>(op.arg[CVQ_MAC] * (i + 1))
    # nobody answered yet
    raw[2 + len] = 0x5a
    r = guest_access(at, 2 + len + 1, raw, True)
    if r:
        return r
    p.n = 0
    if ack == CVQ_ACK_FIRST:
        cut(&p, at + 2 + len, 1, 1, VRING_DESC_F_WRITE)
    cut(&p, at, 2 + (len >> 1 if op.arg[CVQ_GAP] else len), op.arg[CVQ_PIECES], 0)
    if op.arg[CVQ_GAP]:
        cut(&p, <uint64_t>UAREA_PAGES << PAGE_SHIFT, len - (len >> 1), 1, 0)
    if ack == CVQ_ACK_UNMAPPED:
        cut(&p, <uint64_t>UAREA_PAGES << PAGE_SHIFT, 1, 1, VRING_DESC_F_WRITE)
    elif ack == CVQ_ACK_BYTE or ack == CVQ_ACK_EMPTY:
        cut(&p, at + 2 + len, ack == CVQ_ACK_BYTE, 1, VRING_DESC_F_WRITE)
    r = offer(VQ_CTRL, &p, op.arg[CVQ_INDIRECT] != 0)
    if r == 0:
        r = then(op.arg[CVQ_THEN], VQ_CTRL)
    if r == 0 and W_trace and guest_access(at + 2 + len, 1, raw, False) == 0:
        obs(b"ack", raw[0])
    return r


cdef int op_desc(const vf_op* op) noexcept nogil:
    cdef uint32_t q = op.arg[DESC_QUEUE]
    return put_desc(ring_page(q, 3 if op.arg[DESC_TABLE] == DESC_TABLE_INDIRECT else 0),
                    op.arg[DESC_SLOT],
                    iova_of(op.arg[DESC_PAGE], op.arg[DESC_OFF], op.arg[DESC_AT]),
                    op.arg[DESC_LEN], op.arg[DESC_BITS], op.arg[DESC_NEXT])


cdef int op_poke(const vf_op* op) noexcept nogil:
    cdef uint8_t[4] raw
    cdef int i
    for i in range(4):
        raw[i] = <uint8_t>(op.arg[POKE_VALUE] >> (8 * i))
    return guest_access((<uint64_t>op.arg[POKE_PAGE] << PAGE_SHIFT) + op.arg[POKE_OFF],
                        op.arg[POKE_WIDTH], raw, True)


cdef int op_used(uint32_t q) noexcept nogil:
    """The guest looks at its used index and at the entry before it."""
    cdef uint8_t[8] raw
    cdef uint32_t place
    cdef int r = guest_access(ring_page(q, 2) + 2, 2, raw, False)
    if r:
        return r
    obs(b"idx", le16(raw))
    place = (le16(raw) - <uint32_t>1) & (guest_ring_size(q) - 1)
    r = guest_access(ring_page(q, 2) + 4 + 8 * <uint64_t>place, 8, raw, False)
    if r == 0:
        obs(b"id", le32(raw))
        obs(b"len", le32(raw + 4))
    return r


# ---- bringing a device up ----

cdef int bring_up_call(int kind, uint32_t a, uint32_t b, uint32_t c) noexcept nogil:
    """One of the calls, as an op of its own, and judged so."""
    cdef vf_op op
    cdef int r
    memset(&op, 0, sizeof(op))
    op.kind = <uint8_t>kind
    op.arg[0] = a
    op.arg[1] = b
    op.arg[2] = c
    script(SCRIPT_CALL, 0, sizeof(op), &op)
    r = op_open() if kind == OP_OPEN else op_node(&op)
    judge_after_op()
    judge_begin_op()
    return r


cdef int bring_up_map(uint32_t asid) noexcept nogil:
    """Pages 0 to 31 of the area at IOVA 0; nothing to do in a space that has mappings.

    With user addresses an UPDATE of memory that is no file succeeds, and maps nothing."""
    cdef vf_op op
    cdef int r
    if asid < vdpa.nas and J_as[asid].n:
        return 0
    memset(&op, 0, sizeof(op))
    op.kind = OP_UPDATE
    op.arg[UPDATE_ASID] = asid
    op.arg[UPDATE_NPAGES] = 32
    op.arg[UPDATE_PERM] = VHOST_ACCESS_RW
    script(SCRIPT_CALL, 0, sizeof(op), &op)
    r = op_node(&op)
    judge_after_op()
    judge_begin_op()
    if r < 0 or J_as[asid].n:
        return r
    script(SCRIPT_ANSWER, EFAULT, 0, NULL)
    return -EFAULT


cdef int bring_up_queue(uint32_t q, const vf_op* up) noexcept nogil:
    cdef vf_op op
    cdef const Upage* u
    cdef int r = bring_up_call(OP_VRING_NUM, q, 1 << up.arg[BRING_UP_ORDER], 0)
    if r:
        return r
    memset(&op, 0, sizeof(op))
    op.kind = OP_VRING_ADDR
    op.arg[VRING_ADDR_INDEX] = q
    op.arg[VRING_ADDR_DESC] = 4 * q
    op.arg[VRING_ADDR_AVAIL] = 4 * q + 1
    op.arg[VRING_ADDR_USED] = 4 * q + 2
    script(SCRIPT_CALL, 0, sizeof(op), &op)
    r = op_node(&op)
    if r == 0:
        r = bring_up_call(OP_VRING_BASE, q, up.arg[BRING_UP_BASE], 0)
    if r == 0:
        r = bring_up_call(OP_VRING_FD, q, VRING_FD_WHICH_KICK, 1)
    if r == 0:
        r = bring_up_call(OP_VRING_FD, q, VRING_FD_WHICH_CALL, 2)
    if r == 0:
        r = bring_up_call(OP_VRING_ENABLE, q, 1, 0)
    D.slot[q] = 0
    # the guest's ring begins where the device's does, if it has memory for that
    u = upage_of(UAREA_BASE + ring_page(q, 1))
    if r == 0 and u != NULL and not u.readonly:
        put_u16(ring_page(q, 1) + 2, up.arg[BRING_UP_BASE])
    return r


cdef uint32_t bring_up_bits(const vf_op* op) noexcept nogil:
    """A driver of disks does not ask for what networks have."""
    cdef uint32_t bits = op.arg[BRING_UP_BITS]
    if is_disk():
        bits &= ~<uint32_t>(BRING_UP_BITS_MTU | BRING_UP_BITS_MAC | BRING_UP_BITS_STATUS
                            | BRING_UP_BITS_CTRL_VQ | BRING_UP_BITS_CTRL_MAC_ADDR)
    return bits


cdef int op_bring_up(const vf_op* op) noexcept nogil:
    """All that a device needs; what it has already is left out."""
    cdef uint32_t q, asid = op.arg[BRING_UP_CVQ_ASID]
    cdef int r = 0
    if not vdpa.exists:
        script(SCRIPT_ANSWER, ENODEV, 0, NULL)
        return -ENODEV
    if not J.opened:
        r = bring_up_call(OP_OPEN, 0, 0, 0)
    if r == 0 and J.owner == 0:
        r = bring_up_call(OP_SET_OWNER, 0, 0, 0)
    if r == 0 and J.acked == 0:
        r = bring_up_call(OP_SET_BACKEND_FEATURES, VHOST_VDPA_BACKEND_FEATURES, 0, 0)
    if r == 0 and JN.status:
        r = bring_up_call(OP_SET_STATUS, 0, 0, 0)
    if r == 0:
        r = bring_up_call(OP_SET_STATUS, 1, 0, 0)
    if r == 0:
        r = bring_up_call(OP_SET_STATUS, 3, 0, 0)
    if r == 0:
        r = bring_up_call(OP_SET_FEATURES, bring_up_bits(op), 0, 0)
    if r == 0:
        r = bring_up_call(OP_SET_STATUS, 11, 0, 0)
    if r == 0 and asid:
        r = bring_up_call(OP_SET_GROUP_ASID, 1, asid, 0)
    if r == 0:
        r = bring_up_map(0)
    if r >= 0 and asid:
        r = bring_up_map(asid)
    for q in range(vdpa.nvqs):
        if r >= 0 and op.arg[BRING_UP_QUEUES] & 1 << q:
            r = bring_up_queue(q, op)
    if r >= 0:
        r = bring_up_call(OP_SET_STATUS, 15, 0, 0)
    return min(r, 0)


cdef int op_ring(const vf_op* op) noexcept nogil:
    cdef int r
    if op.kind == OP_BRING_UP:
        r = op_bring_up(op)
        # what works is kept once for each kind of device and of memory
        event(0x710 + <uint32_t>vdpa.parent * 16 + P.boot[BOOT_DEVICE] * 4 + P.boot[BOOT_MEMORY]
              if r == 0 else 0x700)
        return r
    if op.kind == OP_SEND:
        return op_send(op)
    if op.kind == OP_RX:
        return op_rx(op)
    if op.kind == OP_CVQ:
        return op_cvq(op)
    if op.kind == OP_DESC:
        return op_desc(op)
    if op.kind == OP_AVAIL:
        r = publish(op.arg[AVAIL_QUEUE], op.arg[AVAIL_HEAD], op.arg[AVAIL_COUNT])
        return r if r else then(op.arg[AVAIL_THEN], op.arg[AVAIL_QUEUE])
    if op.kind == OP_AVAIL_IDX:
        r = put_u16(ring_page(op.arg[AVAIL_IDX_QUEUE], 1) + 2, op.arg[AVAIL_IDX_IDX])
        return r if r else then(op.arg[AVAIL_IDX_THEN], op.arg[AVAIL_IDX_QUEUE])
    if op.kind == OP_AVAIL_FLAGS:
        return put_u16(ring_page(op.arg[AVAIL_FLAGS_QUEUE], 1), op.arg[AVAIL_FLAGS_BITS])
    if op.kind == OP_POKE:
        return op_poke(op)
    if op.kind == OP_KICK:
        r = kick(op.arg[KICK_QUEUE])
    elif op.kind == OP_WORK:
        r = work(<int>op.arg[WORK_COUNT])
    elif op.kind == OP_BLK:
        return op_blk(op)
    else:
        return op_used(op.arg[USED_QUEUE])
    if r:
        script(SCRIPT_ANSWER, <uint64_t>-r, 0, NULL)
    return r
