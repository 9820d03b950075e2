# SPDX-License-Identifier: GPL-2.0-or-later
"""Host side of a virtio ring over an IOTLB: drivers/vhost/vringh.c (6.1.192, 6.12.117).

Ring memory is little endian. An address is an IOVA; `use_va` (6.4) says that the table's addresses
are the owner's, not physical ones.
"""


# ---- translation ----

cdef inline Iotlb* vringh_table(const Vringh* vrh) noexcept nogil:
    """V16: it is there."""
    if unlikely(vdpasim.gone[vrh.iotlb]):
        violation(CHECK_V16, b"vringh_table:gone", b"device table", vrh.iotlb,
                  b"a ring uses table %lld, which was destroyed", vrh.iotlb, 0, 0)
    return &vdpasim_iommu[vrh.iotlb]


cdef int iotlb_translate(const Vringh* vrh, uint64_t addr, uint64_t len, uint64_t* translated,
                         Fragment* vec, int size, uint32_t perm) noexcept nogil:
    """Fragments of [addr, addr + len): how many, -EINVAL in a hole, -EPERM, -ENOBUFS when there are
    more than `size`, which then are in vec."""
    cdef uint64_t s = 0, last = addr + len - 1, part
    cdef int ret = 0, m
    cdef const Map* map
    # f53d9910d009: without the table's lock
    if not quirk(QUIRK_A47):
        lock(vrh.lock, b"iotlb_translate:lock")
    while len > s:
        if ret >= size:
            ret = -ENOBUFS
            break
        # f85efa9b0f53: the end moved with the start
        if quirk(QUIRK_A45):
            last = addr + len - 1
        judge_search(vrh, addr, len - s, last)
        m = vhost_iotlb_itree_first(vringh_table(vrh), addr, last)
        map = &I_maps[m]
        if m == 0 or map.start > addr:
            ret = -EINVAL
            break
        if not (map.perm & perm):
            ret = -EPERM
            break
        part = map.size - addr + map.start
        vec[ret].len = min(len - s, part)
        vec[ret].addr = map.addr - map.start + addr
        judge_fragment(vrh, addr, vec[ret].addr, vec[ret].len, map)
        s += part
        addr += part
        ret += 1
    if not quirk(QUIRK_A47):
        unlock(vrh.lock, b"iotlb_translate:unlock")
    translated[0] = min(len, s)
    return ret


cdef int64_t copy_iotlb(const Vringh* vrh, uint8_t* buf, uint64_t addr, uint64_t len, bint write,
                        site_t site) noexcept nogil:
    """copy_from_iotlb(), copy_to_iotlb(): len, or the first error; what was copied before stays."""
    cdef Fragment[IOTLB_IOV_STRIDE] vec
    cdef uint64_t total = 0, translated = 0
    cdef int ret, i
    cdef uint32_t done = 0, part
    while total < len:
        step(R_run_site)
        ret = iotlb_translate(vrh, addr, len - total, &translated, vec, IOTLB_IOV_STRIDE,
                              VHOST_ACCESS_WO if write else VHOST_ACCESS_RO)
        # 309bba39c945: more fragments than that were an error
        if ret == -ENOBUFS and not quirk(QUIRK_A49):
            ret = IOTLB_IOV_STRIDE
        elif ret < 0:
            return ret
        if ret > 1:
            event(0xd00 + <uint32_t>ret)
        done = 0
        for i in range(ret):
            if vrh.use_va:
                part = user_access(vec[i].addr, <uint32_t>vec[i].len, buf + done, write)
            else:
                part = <uint32_t>vec[i].len
                phys_access(vec[i].addr, part, buf + done, write, site)
            done += part
            if part < vec[i].len:
                break
        # "vringh: fix copy_to_iter return value check": a short copy counted as whole
        if done != translated and not quirk(QUIRK_A51):
            return -EFAULT
        addr += translated
        buf += translated
        total += translated
    return <int64_t>total


cdef int access_iotlb(const Vringh* vrh, uint8_t* buf, uint64_t addr, uint64_t len, bint write,
                      site_t site) noexcept nogil:
    """copydesc_iotlb(), xfer_from_iotlb(), xfer_to_iotlb(), putused_iotlb(): 0 or -EFAULT."""
    cdef int64_t ret = copy_iotlb(vrh, buf, addr, len, write, site)
    judge_copy(vrh, addr, len, write, ret == <int64_t>len)
    return 0 if ret == <int64_t>len else -EFAULT


cdef int getu16_iotlb(const Vringh* vrh, uint16_t* val, uint64_t addr) noexcept nogil:
    cdef uint8_t[2] raw
    cdef int ret = get_raw16(vrh, raw, addr)
    judge_copy(vrh, addr, 2, False, ret == 0)
    val[0] = <uint16_t>(raw[0] | raw[1] << 8)
    return ret


cdef int get_raw16(const Vringh* vrh, uint8_t* raw, uint64_t addr) noexcept nogil:
    cdef Fragment[1] vec
    cdef uint64_t translated = 0
    cdef int ret = iotlb_translate(vrh, addr, 2, &translated, vec, 1, VHOST_ACCESS_RO)
    raw[0] = 0
    raw[1] = 0
    if ret < 0:
        return ret
    if vrh.use_va:
        return 0 if user_access(vec[0].addr, 2, raw, False) == 2 else -EFAULT
    phys_access(vec[0].addr, 2, raw, False, b"getu16_iotlb:page")
    return 0


cdef int putu16_iotlb(const Vringh* vrh, uint64_t addr, uint16_t val) noexcept nogil:
    """Since "vringh: support VA with iotlb" (6.4) it asks for the right to read."""
    cdef Fragment[1] vec
    cdef uint64_t translated = 0
    cdef uint8_t[2] raw
    cdef int ret = iotlb_translate(vrh, addr, 2, &translated, vec, 1,
                                   VHOST_ACCESS_RO if era_6_12() else VHOST_ACCESS_WO)
    raw[0] = <uint8_t>val
    raw[1] = <uint8_t>(val >> 8)
    if ret < 0:
        judge_putu16(vrh, addr, val, False)
        return ret
    ret = 0
    if not vrh.use_va:
        phys_access(vec[0].addr, 2, raw, True, b"putu16_iotlb:page")
    elif user_access(vec[0].addr, 2, raw, True) != 2:
        ret = -EFAULT
    judge_putu16(vrh, addr, val, ret == 0)
    return ret


# ---- vectors ----

cdef inline void vringh_kiov_init(Kiov* iov) noexcept nogil:
    iov.obj = 0
    iov.max_num = 0
    iov.used = 0
    iov.i = 0
    iov.consumed = 0


cdef void vringh_kiov_cleanup(Kiov* iov) noexcept nogil:
    kfree(iov.obj, b"vringh_kiov_cleanup:iov")
    vringh_kiov_init(iov)


cdef int resize_iovec(Kiov* iov) noexcept nogil:
    cdef uint32_t num = max(iov.max_num * 2, <uint32_t>8)
    if unlikely(num > KIOV_MAX):
        give_up()
    if iov.obj:
        if fault(FAULT_ALLOC, b"resize_iovec:krealloc"):
            return -ENOMEM
    else:
        iov.obj = kmalloc(b"vector", O_DEVICE, b"resize_iovec:kmalloc")
        if iov.obj == 0:
            return -ENOMEM
    iov.max_num = num
    return 0


cdef int64_t vringh_iov_xfer(const Vringh* vrh, Kiov* iov, uint8_t* ptr, uint64_t len,
                             bint write) noexcept nogil:
    cdef uint64_t part, done = 0
    cdef uint32_t turns = 0
    cdef Kvec* p
    cdef int err
    while len and iov.i < iov.used:
        step(R_run_site)
        turns += 1
        judge_xfer_turn(turns, iov.used)
        p = &iov.iov[iov.i]
        part = min(p.len, len)
        err = access_iotlb(vrh, ptr, p.base, part, write, b"vringh_iov_xfer:page")
        if err:
            return err
        done += part
        len -= part
        ptr += part
        # 7aed44babc7f: a step of no bytes did not lead to the next segment
        if part == 0 and quirk(QUIRK_A50):
            continue
        iov.consumed += part
        p.len -= part
        p.base += part
        if p.len == 0:
            p.len = iov.consumed
            p.base -= iov.consumed
            iov.consumed = 0
            iov.i += 1
    return <int64_t>done


cdef int64_t vringh_iov_pull_iotlb(const Vringh* vrh, Kiov* iov, uint8_t* dst,
                                   uint32_t n) noexcept nogil:
    return vringh_iov_xfer(vrh, iov, dst, n, False)


cdef int64_t vringh_iov_push_iotlb(const Vringh* vrh, Kiov* iov, uint8_t* src,
                                   uint64_t n) noexcept nogil:
    return vringh_iov_xfer(vrh, iov, src, n, True)


cdef inline uint64_t vringh_kiov_length(const Kiov* iov) noexcept nogil:
    """Bytes that are left in it."""
    cdef uint64_t length = 0
    cdef uint32_t i
    for i in range(iov.i, iov.used):
        length += iov.iov[i].len
    return length


cdef void vringh_kiov_advance(Kiov* iov, uint64_t len) noexcept nogil:
    """Leave len bytes behind, or all there are."""
    cdef uint64_t part
    cdef Kvec* p
    while len and iov.i < iov.used:
        p = &iov.iov[iov.i]
        part = min(p.len, len)
        iov.consumed += part
        p.len -= part
        p.base += part
        if p.len == 0:
            p.len = iov.consumed
            p.base -= iov.consumed
            iov.consumed = 0
            iov.i += 1
        len -= part


# ---- chains ----

cdef inline uint16_t le16(const uint8_t* p) noexcept nogil:
    return <uint16_t>(p[0] | p[1] << 8)


cdef inline uint32_t le32(const uint8_t* p) noexcept nogil:
    return <uint32_t>p[0] | <uint32_t>p[1] << 8 | <uint32_t>p[2] << 16 | <uint32_t>p[3] << 24


cdef inline void desc_parse(const uint8_t* raw, VringDesc* desc) noexcept nogil:
    desc.addr = <uint64_t>le32(raw) | <uint64_t>le32(raw + 4) << 32
    desc.len = le32(raw + 8)
    desc.flags = le16(raw + 12)
    desc.next = le16(raw + 14)


cdef int __vringh_iov(const Vringh* vrh, uint16_t head, Kiov* riov, Kiov* wiov) noexcept nogil:
    """Walk the chain at head into riov and wiov, of which one may be NULL: 0 or -errno."""
    cdef uint8_t[16] raw
    cdef VringDesc desc
    cdef uint64_t descs = vrh.vring.desc
    cdef uint32_t desc_max = vrh.vring.num, count = 0, indirect_count = 0, i = head
    cdef int up_next = -1, err
    cdef Kiov* iov
    if riov != NULL:
        riov.i = 0
        riov.used = 0
        riov.consumed = 0
    # 5745bcfbbf89: only one of two was emptied
    if wiov != NULL and not (riov != NULL and quirk(QUIRK_A46)):
        wiov.i = 0
        wiov.used = 0
        wiov.consumed = 0
    judge_walk_begin()
    while True:
        step(R_run_site)
        judge_walk(vrh, up_next != -1, i, desc_max)
        err = access_iotlb(vrh, raw, descs + 16 * <uint64_t>i, 16, False, b"__vringh_iov:desc")
        if err:
            return err
        desc_parse(raw, &desc)
        if desc.flags & VRING_DESC_F_INDIRECT:
            if up_next != -1 or desc.len % 16:
                return -EINVAL
            up_next = desc.next if desc.flags & VRING_DESC_F_NEXT else -2
            descs = desc.addr
            desc_max = desc.len // 16
            i = 0
            continue
        # dbd29e075228: one counter for both, and equal to the ring's size was too many
        if quirk(QUIRK_A48):
            if count == vrh.vring.num:
                return -ELOOP
            count += 1
        else:
            if up_next == -1:
                count += 1
            else:
                indirect_count += 1
            if count > vrh.vring.num or indirect_count > desc_max:
                return -ELOOP
        if desc.flags & VRING_DESC_F_WRITE:
            iov = wiov
        else:
            iov = riov
            if wiov != NULL and wiov.used:
                return -EINVAL
        if iov == NULL:
            return -EPROTO
        if iov.used == iov.max_num:
            err = resize_iovec(iov)
            if err:
                return err
        iov.iov[iov.used].base = desc.addr
        iov.iov[iov.used].len = desc.len
        iov.used += 1
        if desc.flags & VRING_DESC_F_NEXT:
            i = desc.next
        elif up_next > 0:
            # 0 is taken for "none" here
            i = <uint32_t>up_next
            up_next = -1
            descs = vrh.vring.desc
            desc_max = vrh.vring.num
            indirect_count = 0
        else:
            return 0
        if i >= desc_max:
            return -EINVAL


cdef int vringh_getdesc_iotlb(Vringh* vrh, Kiov* riov, Kiov* wiov, uint16_t* head) noexcept nogil:
    """The next chain: 1, 0 if there is none, -errno. A bad chain is taken all the same."""
    cdef int r = getdesc(vrh, riov, wiov, head)
    judge_getdesc(vrh, riov, wiov, head[0], r)
    return r


cdef int getdesc(Vringh* vrh, Kiov* riov, Kiov* wiov, uint16_t* head) noexcept nogil:
    cdef uint16_t avail_idx = 0, h = 0
    cdef int err = getu16_iotlb(vrh, &avail_idx, vrh.vring.avail + 2)
    if err:
        return err
    if vrh.last_avail_idx == avail_idx:
        return 0
    err = getu16_iotlb(vrh, &h, vrh.vring.avail + 4
                       + 2 * <uint64_t>(vrh.last_avail_idx & (vrh.vring.num - 1)))
    if err:
        return err
    if h >= vrh.vring.num:
        return -EINVAL
    vrh.last_avail_idx += 1
    head[0] = h
    err = __vringh_iov(vrh, h, riov, wiov)
    return err if err else 1


cdef int vringh_complete_iotlb(Vringh* vrh, uint16_t head, uint32_t len) noexcept nogil:
    """Write the used element, then the index: 0 or -errno."""
    cdef uint16_t used_idx = <uint16_t>(vrh.last_used_idx + vrh.completed)
    cdef uint32_t off = used_idx % vrh.vring.num
    cdef uint8_t[8] raw
    cdef int i, err
    for i in range(4):
        raw[i] = <uint8_t>(<uint32_t>head >> (8 * i))
        raw[4 + i] = <uint8_t>(len >> (8 * i))
    judge_used(vrh, vrh.vring.used + 4 + 8 * <uint64_t>off, head, len)
    err = access_iotlb(vrh, raw, vrh.vring.used + 4 + 8 * <uint64_t>off, 8, True,
                       b"vringh_complete_iotlb:page")
    if err == 0:
        err = putu16_iotlb(vrh, vrh.vring.used + 2, <uint16_t>(used_idx + 1))
    if err == 0:
        vrh.completed += 1
    judge_complete(vrh, err)
    return err


cdef int vringh_need_notify_iotlb(Vringh* vrh) noexcept nogil:
    """1: the guest wants to know, 0, -errno. No simulator offers VIRTIO_RING_F_EVENT_IDX, so
    upstream's branch for it is not here."""
    cdef uint16_t flags = 0
    cdef int err = getu16_iotlb(vrh, &flags, vrh.vring.avail)
    return err if err else not (flags & VRING_AVAIL_F_NO_INTERRUPT)


# ---- setting up ----

cdef int vringh_init_iotlb(Vringh* vrh, uint32_t num, uint64_t desc, uint64_t avail, uint64_t used,
                           bint use_va) noexcept nogil:
    """vringh_init_iotlb(), vringh_init_iotlb_va(): 0, -EINVAL with the ring as it was."""
    vrh.use_va = use_va
    if num == 0 or num > 0xffff or num & (num - 1):
        return -EINVAL
    vrh.completed = 0
    vrh.last_avail_idx = 0
    vrh.last_used_idx = 0
    vrh.vring.num = num
    vrh.vring.desc = desc
    vrh.vring.avail = avail
    vrh.vring.used = used
    return 0


cdef inline void vringh_set_iotlb(Vringh* vrh, int asid, uint32_t lock) noexcept nogil:
    vrh.iotlb = asid
    vrh.lock = lock
