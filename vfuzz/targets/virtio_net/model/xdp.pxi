# SPDX-License-Identifier: GPL-2.0-or-later
"""XDP in reception: from a used buffer to the program, and what becomes of its verdict.

6.1 linearises whatever is not in one buffer with headroom, and goes on in its receive_mergeable();
6.12 has functions of its own and knows programs for several buffers.
"""

cdef enum:
    XDP_XMIT_TX = 1             # VIRTIO_XDP_TX
    XDP_XMIT_REDIR = 2          # VIRTIO_XDP_REDIR


cdef uint32_t xdp_meta_max() noexcept nogil:
    """Hook of sim/xdp.pxi: xdp_metalen_invalid()."""
    return 255 if era_6_12() else 32


cdef inline uint32_t xdp_room(uint32_t headroom) noexcept nogil:
    """What a buffer with headroom has besides its packet."""
    if quirk(QUIRK_B10):
        # 7324f5399b06: no tailroom for who builds an skb
        return skb_data_align(headroom)
    return skb_data_align(headroom + SHINFO_SIZE) if headroom else 0


# ---- verdicts ----------------------------------------------------------------------------------

cdef int xdp_frame_of_original(const XdpBuff* x, uint64_t original) noexcept nogil:
    """B03: a frame of the first buffer where it should be one of the copy."""
    cdef int fr = xdp_frame_new()
    if fr:
        X_frame[fr].data = original + vi.hdr_len
        X_frame[fr].len = <uint32_t>(x.data_end - x.data)
        X_frame[fr].headroom = vi.hdr_len
    return fr


cdef int xdp_handler(ReceiveQueue* rq, XdpBuff* x, uint64_t original) noexcept nogil:
    """virtnet_xdp_handler(): run the program, carry out XDP_TX and XDP_REDIRECT. PASS, TX,
    REDIRECT, or DROP for everything else. original: the buffer that x is a copy of, 0: of none."""
    cdef int act = xdp_program_run(rq, x)
    cdef bint partial = (vi.xdp_csum and rq.flags & HDR_F_NEEDS_CSUM) and not quirk(QUIRK_H01)
    cdef int err
    cdef int32_t fr
    rq.ran = True
    vi.xdp_stats.packets += 1
    event(0x6100 + <uint32_t>act * 8 + x.has_frags * 4 + era_6_12())
    if act == XDP_PASS:
        return act
    if act == XDP_TX:
        vi.xdp_stats.tx += 1
        if partial:
            # a frame has nothing that says where its checksum is to be put
            return XDP_DROP
        if quirk(QUIRK_B03) and original:
            # 56a86f84b833
            fr = xdp_frame_of_original(x, original)
        else:
            fr = xdp_convert_buff_to_frame(x, b"xdp_handler:convert")
        if fr == 0:
            return XDP_DROP
        err = xdp_xmit(&fr, 1, False)
        if err == 0:
            xdp_return_frame(fr, b"xdp_handler:full")
        vi.xdp_xmit |= XDP_XMIT_TX
        return act
    if act == XDP_REDIRECT:
        vi.xdp_stats.redirects += 1
        if partial or xdp_do_redirect(x, xdp_redirect_target()):
            return XDP_DROP
        vi.xdp_xmit |= XDP_XMIT_REDIR
        return act
    return XDP_DROP


# ---- copies ------------------------------------------------------------------------------------

cdef int xdp_page_new(ReceiveQueue* rq, site_t site) noexcept nogil:
    """alloc_page() for a copy of a packet; 7.2: a page of the queue's pool."""
    cdef int page
    if rq.page_pool and not quirk(QUIRK_G03) and not quirk(QUIRK_G04):
        page = page_pool_alloc_pages(rq.page_pool, H_DRV, site)
    else:
        page = alloc_pages(0, H_DRV, site)
    if page == 0:
        return 0
    if buf_new(page, 0, PAGE_SIZE, site) == 0:
        # uncovered: each of these has a frame of its own, and frames run out first
        page_put(page, b"xdp_page_new:exhausted")
        return 0
    M_frames[page].copy = True
    return page


cdef void xdp_page_copy(int page, uint32_t offset, uint64_t source, uint32_t size,
                        site_t site) noexcept nogil:
    """memcpy() to the page: what is written of it may be read."""
    cdef int b
    cpu_copy(addr_of(page, offset), source, size, site)
    b = buf_at(page, offset)
    if M_bufs[b].p_start == M_bufs[b].p_end:
        M_bufs[b].p_start = offset
    M_bufs[b].p_end = offset + size


cdef int check_mergeable_len(uint64_t ctx, uint32_t size) noexcept nogil:
    """check_mergeable_len(): R03, in 6.1 a context's truesize has no room in it to subtract."""
    if size > mergeable_ctx_to_truesize(ctx) - xdp_room(mergeable_ctx_to_headroom(ctx)):
        vi.rx_length_errors += 1
        return -1
    return 0


cdef int xdp_linearize_page(ReceiveQueue* rq, int* num_buf, uint64_t source, uint32_t page_off,
                            uint32_t* size) noexcept nogil:
    """xdp_linearize_page(): the packet in one fresh page, from page_off on; 0 where it does not
    fit, is not whole, or there is no page. *size is the length with the vnet header."""
    cdef uint64_t buf, ctx
    cdef uint32_t buflen = 0
    cdef int page
    cdef bint too_long
    if page_off + size[0] + SHINFO_SIZE > PAGE_SIZE and not quirk(QUIRK_A01):
        # 853618d5886b
        return 0
    page = xdp_page_new(rq, b"xdp_linearize_page:alloc")
    if page == 0:
        return 0
    xdp_page_copy(page, page_off, source, size[0], b"xdp_linearize_page:copy")
    page_off += size[0]
    while True:
        step(b"xdp_linearize_page:loop")
        num_buf[0] -= 1
        if num_buf[0] < 0 and not era_6_12():
            num_buf[0] = 0xFFFF     # R04
        if num_buf[0] == 0:
            break
        buf = rq_get_buf(rq, &buflen, &ctx, b"xdp_linearize_page:get")
        if buf == 0:
            break
        rq_sync(rq, buf, buflen)
        too_long = check_mergeable_len(ctx, buflen) != 0
        event(0x6208 + too_long * 4 + (page_off + buflen + SHINFO_SIZE > PAGE_SIZE) * 2
              + (num_buf[0] > 1))
        if mergeable_ctx_to_headroom(ctx) == 0:
            # a slope towards the page's end: such a buffer, of before the program, is shorter
            event(0x6800 + too_long * 256 + <uint32_t>(num_buf[0] & 7) * 32
                  + log2_u32(page_off + buflen))
        if too_long and not quirk(QUIRK_A02):
            # 315dbdd7cdf6
            rq_put_buf(rq, buf, True, b"xdp_linearize_page:bad_len")
            break
        if page_off + buflen + SHINFO_SIZE > PAGE_SIZE:
            rq_put_buf(rq, buf, True, b"xdp_linearize_page:too_long")
            break
        xdp_page_copy(page, page_off, buf, buflen, b"xdp_linearize_page:copy_next")
        page_off += buflen
        if not quirk(QUIRK_B01):
            # c47a43d3004a
            rq_put_buf(rq, buf, True, b"xdp_linearize_page:put")
    if num_buf[0]:
        rq_put_buf(rq, addr_of(page, 0), True, b"xdp_linearize_page:err_buf")
        event(0x6200)
        return 0
    size[0] = page_off - XDP_PACKET_HEADROOM
    event(0x6201 + (buflen != 0))
    return page


# ---- receive_small() ---------------------------------------------------------------------------

cdef int receive_small_xdp(ReceiveQueue* rq, uint64_t buf, uint32_t xdp_headroom, uint32_t len,
                           uint32_t buflen, RqStats* stats) noexcept nogil:
    """receive_small_xdp(), in 6.1 a part of receive_small(). buf: the start of the allocation,
    which has buflen bytes."""
    cdef uint32_t header_offset = VIRTNET_RX_PAD + xdp_headroom
    cdef uint32_t tlen
    cdef int act, s, page
    cdef int num_buf = 1
    cdef uint8_t hdr[2]
    cdef uint64_t data
    cdef XdpBuff x
    hdr_read(buf + header_offset, 2, hdr, b"receive_small_xdp:hdr")
    if (hdr[1] or (quirk(QUIRK_D07) and hdr[0])
            or (era_6_12() and hdr[0] & HDR_F_NEEDS_CSUM and not quirk(QUIRK_D03)
                and not vi.xdp_csum)):
        # 95dbe9e7b321: any flag; 703eec1b2422: a partial checksum is not for programs
        return xdp_small_err(rq, buf + header_offset, stats, True)
    if xdp_headroom < virtnet_get_headroom():
        tlen = len + vi.hdr_len
        xdp_headroom = virtnet_get_headroom()
        page = xdp_linearize_page(rq, &num_buf, buf + header_offset, VIRTNET_RX_PAD + xdp_headroom,
                                  &tlen)
        if page == 0:
            return xdp_small_err(rq, buf + header_offset, stats, True)
        rq_put_buf(rq, buf + header_offset, True, b"receive_small_xdp:put_original")
        buf = addr_of(page, 0)
        header_offset = VIRTNET_RX_PAD + xdp_headroom
        buflen = skb_data_align(GOOD_PACKET_LEN + vi.hdr_len + header_offset) + SHINFO_SIZE
    xdp_prepare_buff(&x, buf + VIRTNET_RX_PAD + vi.hdr_len, xdp_headroom, len, buflen)
    x.pool = rq.mem_pool
    data = x.data
    act = xdp_handler(rq, &x, 0)
    if act == XDP_TX or act == XDP_REDIRECT:
        return 0
    if act != XDP_PASS:
        return xdp_small_err(rq, x.data, stats, True)
    s = build_skb(buf, buflen, b"receive_small_xdp:build_skb")
    if s == 0:
        return xdp_small_err(rq, x.data, stats, False)
    skb_reserve(s, <uint32_t>(x.data - buf), b"receive_small_xdp:reserve")
    skb_put(s, <uint32_t>(x.data_end - x.data), b"receive_small_xdp:put")
    if quirk(QUIRK_D02) and x.data == data:
        # only a program that moved the start was thought to have changed anything
        hdr_read(buf + header_offset, vi.hdr_len, K_skbs[s].cb, b"receive_small_xdp:stale")
    skb_metadata_set(s, &x)
    rq_mark_for_recycle(rq, s)
    return s


cdef int xdp_small_err(ReceiveQueue* rq, uint64_t addr, RqStats* stats,
                       bint by_xdp) noexcept nogil:
    vi.xdp_stats.drops += by_xdp
    stats.drops += 1
    rq_put_buf(rq, addr, True, b"receive_small_xdp:err")
    return 0


cdef void skb_metadata_set(int s, const XdpBuff* x) noexcept nogil:
    if not quirk(QUIRK_D13):
        K_skbs[s].meta_len = <uint8_t>(x.data - x.data_meta)


# ---- receive_mergeable(), linux-6.1 ------------------------------------------------------------

cdef int xdp_mergeable_err(ReceiveQueue* rq, uint64_t buf, int num_buf,
                           RqStats* stats) noexcept nogil:
    """err_xdp: the first buffer, and those that are left of the packet."""
    rq_put_buf(rq, buf, True, b"receive_mergeable_xdp:err")
    mergeable_buf_free(rq, num_buf, stats)
    vi.xdp_stats.drops += 1
    stats.drops += 1
    return 0


cdef int xdp_page_to_skb(ReceiveQueue* rq, const XdpBuff* x, uint32_t truesize,
                         uint32_t headroom) noexcept nogil:
    """page_to_skb() of what the program left, metadata included."""
    cdef uint32_t metasize = <uint32_t>(x.data - x.data_meta)
    cdef uint64_t hdr = x.data - metasize - vi.hdr_len
    return page_to_skb(rq, frame_of(hdr), offset_of(hdr),
                       <uint32_t>(x.data_end - x.data) + vi.hdr_len + metasize, truesize,
                       quirk(QUIRK_D01), metasize, headroom)


cdef int receive_mergeable_xdp_6_1(ReceiveQueue* rq, uint64_t buf, uint64_t ctx, uint32_t len,
                                   int num_buf, RqStats* stats) noexcept nogil:
    """What linux-6.1's receive_mergeable() does where a program is attached: the skb, or 0."""
    cdef uint32_t truesize = mergeable_ctx_to_truesize(ctx)
    cdef uint32_t headroom = mergeable_ctx_to_headroom(ctx)
    cdef uint32_t frame_sz = PAGE_SIZE if headroom else truesize
    cdef int page = 0, act, s, declared = num_buf
    cdef uint64_t data = buf, tx = vi.xdp_stats.tx
    cdef uint8_t hdr[2]
    cdef XdpBuff x
    hdr_read(buf, 2, hdr, b"receive_mergeable_xdp:hdr")
    if (hdr[1] and not quirk(QUIRK_B04)) or (hdr[0] and quirk(QUIRK_D08)):
        # b00f70b0dacb: D08, any flag
        return xdp_mergeable_err(rq, buf, num_buf, stats)
    if num_buf > 1 or headroom < virtnet_get_headroom():
        page = xdp_linearize_page(rq, &num_buf, buf, XDP_PACKET_HEADROOM, &len)
        if page == 0:
            return xdp_mergeable_err(rq, buf, num_buf, stats)
        frame_sz = PAGE_SIZE
        data = addr_of(page, XDP_PACKET_HEADROOM)
        if quirk(QUIRK_B07):
            # 850e088d5bbb: the number of buffers stayed what the header says
            num_buf = declared
    if hdr[1]:
        # 3d62b2a0db50: B04 looks only now, and forgets the page
        return xdp_mergeable_err(rq, buf, num_buf, stats)
    xdp_prepare_buff(&x, data - XDP_PACKET_HEADROOM + vi.hdr_len, XDP_PACKET_HEADROOM,
                     len - vi.hdr_len, frame_sz - vi.hdr_len)
    act = xdp_handler(rq, &x, buf if page else 0)
    if act == XDP_TX or act == XDP_REDIRECT:
        if page and act == XDP_REDIRECT and quirk(QUIRK_B06):
            # 6890418bbb78: the copy, which the target has
            rq_put_buf(rq, data, True, b"receive_mergeable_xdp:put_copy")
        elif page and not (act == XDP_TX and (quirk(QUIRK_B05) or quirk(QUIRK_B03))):
            # 5d458a13dd59
            rq_put_buf(rq, buf, True, b"receive_mergeable_xdp:put")
        return 0
    if act != XDP_PASS:
        if page and not (quirk(QUIRK_B08) and vi.xdp_stats.tx != tx):
            # 7a542bee27c6: not where XDP_TX had failed
            rq_put_buf(rq, x.data, True, b"receive_mergeable_xdp:put_page")
        return xdp_mergeable_err(rq, buf, num_buf, stats)
    headroom = <uint32_t>(x.data_meta - x.hard_start)
    if page and quirk(QUIRK_B02):
        # 1830f8935f3b: built on the original
        return page_to_skb(rq, frame_of(buf), offset_of(buf), len, truesize, False, 0, 0)
    if page:
        rq_put_buf(rq, buf, True, b"receive_mergeable_xdp:put_original")
        # R02: no skb, and the copy is forgotten. 5c37711d9f27: A15, so was its headroom
        return xdp_page_to_skb(rq, &x, PAGE_SIZE, 0 if quirk(QUIRK_A15) else headroom)
    s = xdp_page_to_skb(rq, &x, truesize, headroom)
    return receive_mergeable_rest(rq, s, buf, num_buf, stats)


# ---- receive_mergeable(), linux-6.12 -----------------------------------------------------------

cdef void put_xdp_frags(ReceiveQueue* rq, const XdpBuff* x) noexcept nogil:
    cdef int i
    for i in range(x.nr_frags):
        rq_put_buf(rq, addr_of(x.frags[i].page, x.frags[i].offset), True, b"put_xdp_frags:put")


cdef uint64_t mergeable_xdp_get_buf(ReceiveQueue* rq, uint64_t buf, uint64_t ctx,
                                    uint32_t* frame_sz, int* num_buf, uint32_t* len,
                                    uint64_t* mine) noexcept nogil:
    """mergeable_xdp_get_buf(): where the packet, or its first part, lies with headroom; 0: drop it.
    *mine: the buffer that is to be put then."""
    cdef uint32_t headroom = mergeable_ctx_to_headroom(ctx)
    cdef uint8_t hdr[2]
    cdef int page
    hdr_read(buf, 2, hdr, b"mergeable_xdp_get_buf:hdr")
    if hdr[1] or (hdr[0] and quirk(QUIRK_D08)):
        return 0
    if hdr[0] & HDR_F_NEEDS_CSUM and not quirk(QUIRK_D03) and not vi.xdp_csum:
        return 0
    # 484beac2ffc1: A09, a page whatever the buffer has
    frame_sz[0] = PAGE_SIZE if quirk(QUIRK_A09) else mergeable_ctx_to_truesize(ctx)
    if headroom >= virtnet_get_headroom() and (num_buf[0] == 1 or rq.xdp_prog == XDP_PROG_FRAGS):
        return buf
    if rq.xdp_prog != XDP_PROG_FRAGS:
        page = xdp_linearize_page(rq, num_buf, buf, XDP_PACKET_HEADROOM, len)
        if page == 0:
            return 0
    else:
        if len[0] + xdp_room(XDP_PACKET_HEADROOM) > PAGE_SIZE:
            return 0
        page = xdp_page_new(rq, b"mergeable_xdp_get_buf:alloc")
        if page == 0:
            return 0
        xdp_page_copy(page, XDP_PACKET_HEADROOM, buf, len[0], b"mergeable_xdp_get_buf:copy")
    frame_sz[0] = PAGE_SIZE
    rq_put_buf(rq, buf, True, b"mergeable_xdp_get_buf:put")
    mine[0] = addr_of(page, XDP_PACKET_HEADROOM)
    return mine[0]


cdef int build_xdp_buff_mrg(ReceiveQueue* rq, XdpBuff* x, uint64_t buf, uint32_t len,
                            uint32_t frame_sz, int* num_buf, uint32_t* frags_truesize,
                            RqStats* stats) noexcept nogil:
    """virtnet_build_xdp_buff_mrg(): the head, a fragment for each other buffer; 0 or -EINVAL."""
    cdef uint64_t ctx
    cdef uint32_t truesize
    xdp_prepare_buff(x, buf - XDP_PACKET_HEADROOM, XDP_PACKET_HEADROOM + vi.hdr_len,
                     len - vi.hdr_len, frame_sz)
    x.pool = rq.mem_pool
    frags_truesize[0] = 0
    if num_buf[0] == 0:
        return 0
    if num_buf[0] > 1:
        x.has_frags = True
    if num_buf[0] > MAX_SKB_FRAGS + 1:
        return -EINVAL
    while True:
        step(b"build_xdp_buff_mrg:loop")
        num_buf[0] -= 1
        if num_buf[0] <= 0:
            return 0
        buf = rq_get_buf(rq, &len, &ctx, b"build_xdp_buff_mrg:get")
        if buf == 0:
            vi.rx_length_errors += 1
            break
        stats.bytes += len
        rq_sync(rq, buf, len)
        truesize = mergeable_ctx_to_truesize(ctx)
        if (len > truesize - xdp_room(mergeable_ctx_to_headroom(ctx)) or truesize > PAGE_SIZE):
            rq_put_buf(rq, buf, True, b"build_xdp_buff_mrg:bad_len")
            vi.rx_length_errors += 1
            break
        x.frags[x.nr_frags].page = frame_of(buf)
        x.frags[x.nr_frags].offset = offset_of(buf)
        x.frags[x.nr_frags].size = len
        x.nr_frags += 1
        x.frags_size += len
        frags_truesize[0] += truesize
    put_xdp_frags(rq, x)
    return -EINVAL


cdef int build_skb_from_xdp_buff(const XdpBuff* x, uint32_t frags_truesize) noexcept nogil:
    """build_skb_from_xdp_buff(): the skb, or 0."""
    cdef int s, i
    if x.data_end > xdp_data_hard_end(x):
        return 0    # uncovered: S16 has looked before
    s = build_skb(x.hard_start, x.frame_sz, b"build_skb_from_xdp_buff:build_skb")
    if s == 0:
        return 0
    skb_reserve(s, <uint32_t>(x.data - x.hard_start), b"build_skb_from_xdp_buff:reserve")
    skb_put(s, <uint32_t>(x.data_end - x.data), b"build_skb_from_xdp_buff:put")
    skb_metadata_set(s, x)
    for i in range(x.nr_frags):
        # xdp_update_skb_shared_info(): they are there already
        skb_add_rx_frag(s, i, x.frags[i].page, x.frags[i].offset, x.frags[i].size, 0,
                        b"build_skb_from_xdp_buff:frag")
    if x.has_frags:
        K_skbs[s].truesize += frags_truesize
    return s


cdef int receive_mergeable_xdp(ReceiveQueue* rq, uint64_t buf, uint64_t ctx, uint32_t len,
                               int num_buf, RqStats* stats) noexcept nogil:
    """receive_mergeable_xdp(): the skb, or 0."""
    cdef uint64_t data, mine = buf
    cdef uint32_t frame_sz, frags_truesize = 0
    cdef int s, act, declared = num_buf
    cdef XdpBuff x
    data = mergeable_xdp_get_buf(rq, buf, ctx, &frame_sz, &num_buf, &len, &mine)
    if data and build_xdp_buff_mrg(rq, &x, data, len, frame_sz, &num_buf, &frags_truesize,
                                   stats) == 0:
        act = xdp_handler(rq, &x, 0)
        if act == XDP_PASS:
            s = build_skb_from_xdp_buff(&x, frags_truesize)
            if s:
                event(0x6300 + <uint32_t>x.nr_frags)
                if not quirk(QUIRK_G04) or mine == buf:
                    rq_mark_for_recycle(rq, s)
                return s
        elif act == XDP_TX or act == XDP_REDIRECT:
            return 0
        put_xdp_frags(rq, &x)
        if quirk(QUIRK_B07) and mine != buf:
            # 850e088d5bbb: the number of buffers stayed what the header says
            num_buf = declared
    return xdp_mergeable_err(rq, mine, num_buf, stats)


# ---- attaching ---------------------------------------------------------------------------------

cdef bint send_command(uint32_t command) noexcept nogil:
    """virtnet_send_command(): did the device acknowledge it?"""
    return not dev_refuses(command)


cdef void set_guest_offloads(uint32_t offloads) noexcept nogil:
    """virtnet_set_guest_offloads(): a failure is told to the log only."""
    cdef uint64_t mem = 0
    if era_6_12():
        mem = kmalloc(8, b"set_guest_offloads:alloc")
        if mem == 0:
            return
    if send_command(NACK_COMMANDS_GUEST_OFFLOADS):
        dev_set_offloads(offloads)
    kfree(mem, b"set_guest_offloads:free")


cdef int xdp_refused(int prog) noexcept nogil:
    """The limits that virtnet_xdp_set() looks at first: 0, -EOPNOTSUPP or -EINVAL."""
    cdef uint32_t offloads = vi.guest_offloads
    if quirk(QUIRK_D09):
        # 92502fe86c7c: TSO only was looked at
        offloads &= ~<uint32_t>(BOOT_FEATURES_GUEST_UFO | BOOT_FEATURES_GUEST_CSUM)
    if vi.xdp_csum:
        offloads &= ~<uint32_t>BOOT_FEATURES_GUEST_CSUM
    if offloads and not feature(BOOT_FEATURES_CTRL_GUEST_OFFLOADS):
        return -EOPNOTSUPP
    if vi.mergeable_rx_bufs and not feature(BOOT_FEATURES_VERSION_1):
        # any_header_sg
        return -EINVAL
    if era_6_12():
        if (prog == XDP_PROG_LINEAR
                and vi.mtu > PAGE_SIZE - xdp_room(XDP_PACKET_HEADROOM) - ETH_HLEN):
            return -EINVAL
    elif vi.mtu > PAGE_SIZE - PADDED_HDR_LEN:
        return -EINVAL
    return 0


cdef int virtnet_xdp_set(int prog) noexcept nogil:
    """virtnet_xdp_set(): attach a program, exchange it, or detach it."""
    cdef int i, xdp_qp = 0, curr_qp, old_prog, err
    err = xdp_refused(prog)
    if err:
        return err
    rq_check(b"virtnet_xdp_set:rq")
    curr_qp = vi.curr_queue_pairs - vi.xdp_queue_pairs
    if prog:
        xdp_qp = <int>P.boot[BOOT_CPUS]
    if curr_qp + xdp_qp > vi.max_queue_pairs:
        # send queues are shared then, with a lock
        xdp_qp = 0
    old_prog = vi_rq[0].xdp_prog
    if prog == XDP_PROG_NONE and old_prog == XDP_PROG_NONE:
        # behind a resume (R12) that is not the whole truth
        event(0x64C0 + <uint32_t>vi.xdp_enabled * 4 + <uint32_t>vi.running * 2 + vi.xdp_csum)
        return 0
    preempt()
    if vi.running:
        for i in range(vi.max_queue_pairs):
            napi_disable(&vi_rq[i].napi, i, False, b"virtnet_xdp_set:napi_disable")
    if prog == XDP_PROG_NONE:
        for i in range(vi.max_queue_pairs):
            vi_rq[i].xdp_prog = prog
        set_guest_offloads_if(vi.guest_offloads)
    err = virtnet_set_queues(curr_qp + xdp_qp)
    preempt()
    if err == 0:
        if prog or not quirk(QUIRK_E22):
            # 188313c137c4
            vi.real_num_rx_queues = curr_qp + xdp_qp
        vi.xdp_queue_pairs = xdp_qp
        vi.xdp_enabled = prog != XDP_PROG_NONE
        if prog:
            vi.xdp_ever = True
            for i in range(vi.max_queue_pairs):
                vi_rq[i].xdp_prog = prog
            if old_prog == XDP_PROG_NONE:
                set_guest_offloads_if(offloads_under_xdp())
    elif prog == XDP_PROG_NONE:
        set_guest_offloads_if(offloads_under_xdp())
        for i in range(vi.max_queue_pairs):
            vi_rq[i].xdp_prog = old_prog
    if era_7_2() and vi.running:
        # virtnet_rx_resume_all()
        for i in range(vi.curr_queue_pairs):
            try_fill_recv(&vi_rq[i])
    if vi.running or quirk(QUIRK_E16):
        # 8be4d9a492f8: whether it is up was looked at only where NAPI was switched off
        if quirk(QUIRK_E09):
            netdev_lock(b"virtnet_xdp_set:netdev_lock")
        for i in range(vi.max_queue_pairs):
            virtnet_napi_enable(&vi_rq[i])
            virtnet_napi_tx_enable(i)
    event(0x6400 + <uint32_t>prog * 64 + <uint32_t>old_prog * 16 + <uint32_t>vi.running * 8
          + <uint32_t>(xdp_qp != 0) * 4 + <uint32_t>(err != 0))
    return err


cdef inline uint32_t offloads_under_xdp() noexcept nogil:
    """What the device may go on with while a program is attached."""
    return vi.guest_offloads & BOOT_FEATURES_GUEST_CSUM if vi.xdp_csum else 0


cdef void set_guest_offloads_if(uint32_t offloads) noexcept nogil:
    """virtnet_clear_guest_offloads(), virtnet_restore_guest_offloads(): if there are any."""
    if vi.guest_offloads:
        set_guest_offloads(offloads)


cdef int dev_xdp_install(int prog) noexcept nogil:
    """The user's request: dev_xdp_attach(). Where nothing is attached, nothing is detached."""
    cdef int err
    if not vi.registered or not vi.present:
        return -ENODEV
    if prog == XDP_PROG_NONE and vi.user_prog == XDP_PROG_NONE:
        return 0
    err = virtnet_xdp_set(prog)
    if err == 0:
        vi.user_prog = prog
    return err
