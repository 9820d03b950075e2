# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""A transmit ring: lists of device-readable parts that a device takes in order, when it pleases.

As much of a virtqueue as transmission needs: descriptors that run out, mappings, used entries that
nobody has to look at. Layout and event indexes are tested with the receive rings.
"""

cdef enum:
    TX_ENTRIES = 32             # lists in a ring, a power of two, not less than VQ_MAX
    TX_PARTS = MAX_SKB_FRAGS + 1

cdef struct TxPart:
    uint64_t addr
    uint32_t len
    uint64_t dma

cdef struct TxEntry:
    uint64_t token
    int n
    int slots                   # descriptors in the ring
    uint64_t table              # indirect, 0 none
    uint64_t table_dma
    bint used
    TxPart part[TX_PARTS]

cdef struct TxRing:
    int num
    int num_free
    bint indirect
    bint packed
    bint broken                 # neither the driver nor the device gets anything in or out
    bint event                  # the device names the entry at which it wants a kick
    bint named                  # packed: it did so already
    uint32_t tail               # next to be added; oldest that the device has, oldest of all
    uint32_t next
    uint32_t head
    uint32_t kicked             # value of tail at the last kick
    TxEntry entry[TX_ENTRIES]


cdef inline void txring_init(TxRing* r, int num, bint indirect, bint packed,
                             bint event) noexcept nogil:
    r.num = num
    r.indirect = indirect
    r.packed = packed
    r.broken = False
    r.event = event
    r.named = False
    r.num_free = num
    r.tail = r.next = r.head = r.kicked = 0


cdef void txring_unmap(TxEntry* e, int n, site_t site) noexcept nogil:
    cdef int i
    if D.use_dma_api:
        for i in range(n):
            dma_unmap(e.part[i].dma, e.part[i].len, DMA_TO_DEVICE, False, site)
        if e.table and n == e.n:
            dma_unmap(e.table_dma, <uint32_t>n * 16, DMA_TO_DEVICE, False, site)


cdef void txring_table_free(TxEntry* e, site_t site) noexcept nogil:
    kfree(e.table, site)
    e.table = 0


cdef int txring_add(TxRing* r, const TxPart* parts, int n, uint64_t token,
                    site_t site) noexcept nogil:
    """virtqueue_add_outbuf(): 0, -EIO, -ENOSPC, -ENOMEM. A fault site (add), and each mapping
    (map)."""
    cdef TxEntry* e = &r.entry[r.tail & (TX_ENTRIES - 1)]   # of a full ring: the oldest
    cdef uint64_t table = 0
    cdef int i, slots
    if r.broken:
        return -EIO
    if fault(FAULT_ADD, site):
        return -ENOMEM
    if r.indirect and n > 1 and r.num_free:
        # without memory for a table the ring has the parts themselves
        table = kmalloc(<uint32_t>n * 16, site)
    slots = 1 if table else n
    if r.num_free < slots:
        kfree(table, site)
        if not r.packed:
            r.kicked = r.tail   # virtqueue_add_split() kicks at once: no room, and out it must
        return -ENOSPC
    e.table = table
    e.slots = slots
    e.n = -1                    # nothing is whole yet
    for i in range(n):
        e.part[i] = parts[i]
        e.part[i].dma = parts[i].addr
        if D.use_dma_api:
            e.part[i].dma = dma_map(parts[i].addr, parts[i].len, DMA_TO_DEVICE, site)
            if e.part[i].dma == DMA_ERROR:
                txring_unmap(e, i, site)
                txring_table_free(e, site)
                return -ENOMEM
    if e.table and D.use_dma_api:
        e.table_dma = dma_map(e.table, <uint32_t>n * 16, DMA_TO_DEVICE, site)
        if e.table_dma == DMA_ERROR:
            txring_unmap(e, n, site)
            txring_table_free(e, site)
            return -ENOMEM
    e.token = token
    e.n = n
    e.used = False
    r.num_free -= e.slots
    r.tail += 1
    return 0


cdef uint64_t txring_get(TxRing* r, bint unused, site_t site) noexcept nogil:
    """virtqueue_get_buf(), or with `unused` virtqueue_detach_unused_buf(): a token, 0 if none."""
    cdef TxEntry* e = &r.entry[r.head & (TX_ENTRIES - 1)]
    if r.head == r.tail or not (e.used or unused) or r.broken and not unused:
        return 0
    txring_unmap(e, e.n, site)
    txring_table_free(e, site)
    r.num_free += e.slots
    r.head += 1
    return e.token


cdef bint txring_kick(TxRing* r) noexcept nogil:
    """virtqueue_kick_prepare() and virtqueue_notify(): is there a kick? Not for nothing new where
    the device names an entry; that of a packed ring does so from its first kick on."""
    if r.tail == r.kicked and r.event and (r.named or not r.packed):
        return False
    r.named = True
    r.kicked = r.tail
    return not r.broken


cdef bint txring_enable_cb_delayed(const TxRing* r) noexcept nogil:
    """virtqueue_enable_cb_delayed(): is little enough left to wait for an interrupt? A split ring
    leaves up to three quarters of what is in flight, a packed one nothing."""
    cdef uint32_t used = r.next - r.head
    return used <= (0 if r.packed else (r.tail - r.head) * 3 / 4)


cdef uint64_t txring_send(TxRing* r, site_t site) noexcept nogil:
    """The device reads the oldest list that it was told of and returns it: its token, or 0."""
    cdef TxEntry* e = &r.entry[r.next & (TX_ENTRIES - 1)]
    cdef int i
    if r.next == r.kicked:
        return 0
    for i in range(e.n):
        dma_resolve(e.part[i].dma, e.part[i].len, False, site)
    e.used = True
    r.next += 1
    return e.token
