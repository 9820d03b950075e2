# SPDX-License-Identifier: GPL-2.0-or-later
"""Partial checksums under XDP, as was proposed in 2023: boot option XDP_CSUM of linux-6.12.

Programs may be attached although there is GUEST_CSUM. What such a packet's checksum needs is looked
for in its final bytes, once a program has passed it. The model has the proposal without the
hazards that were found in it: each of those is a quirk.
"""

cdef struct Parsed:             # what checksum_setup() has found, places from the packet's start
    uint32_t at                 # next header
    uint32_t end                # of the packet, as its network header says
    uint8_t proto
    uint64_t pseudo             # sum of the addresses


cdef bint packet_bytes(int s, uint32_t at, uint32_t size, uint8_t* out) noexcept nogil:
    """The driver reads bytes of the packet, which it makes linear so far."""
    cdef Skb* p
    cdef int i, n
    cdef uint32_t k, done = 0
    if not pskb_may_pull(s, at + size, b"packet_bytes:pull"):
        return False
    p = skb_get(s, b"packet_bytes:skb")
    # what was pulled lies behind what was posted
    xdp_reach(p.head + p.data, p.head + p.tail)
    n = pieces_add(0, p.head + p.data + at, size, b"packet_bytes:read")
    for i in range(n):
        for k in range(K_pieces[i].size):
            out[done] = origin_byte(K_pieces[i].origin, K_pieces[i].at + k)
            done += 1
    return True


cdef bint parse_ipv4(int s, Parsed* at) noexcept nogil:
    cdef uint8_t h[20]
    cdef uint32_t start = at.at
    if not packet_bytes(s, start, 20, h):
        return False
    if h[0] >> 4 != 4 or (h[0] & 15) < 5 or be16(h + 6) & 0x3FFF:
        # a fragment has no checksum of its own
        return False
    if start + be16(h + 2) > at.end:
        return False
    at.at += <uint32_t>(h[0] & 15) * 4
    at.end = start + be16(h + 2)
    at.proto = h[9]
    at.pseudo = bytes_sum(h + 12, 8)
    return at.at <= at.end


cdef bint parse_ipv6(int s, Parsed* at) noexcept nogil:
    cdef uint8_t h[40]
    cdef uint32_t end
    if not packet_bytes(s, at.at, 40, h):
        return False
    at.at += IPV6_HLEN
    end = at.at + be16(h + 4)
    if h[0] >> 4 != 6 or end > at.end:
        return False
    at.end = end
    at.proto = h[6]
    at.pseudo = bytes_sum(h + 8, 32)
    while (at.proto == IPPROTO_HOPOPTS or at.proto == IPPROTO_ROUTING
           or at.proto == IPPROTO_DSTOPTS):
        step(b"parse_ipv6:options")
        if at.at + 8 > at.end or not packet_bytes(s, at.at, 2, h):
            return False
        at.proto = h[0]
        at.at += (<uint32_t>h[1] + 1) * 8
    return at.at <= at.end


cdef bint parse_packet(int s, Parsed* at) noexcept nogil:
    """Find the transport header; H09: by the type in the Ethernet header and the first IP header
    only, so that tags and tunnels end it."""
    cdef uint8_t h[4]
    cdef uint32_t type
    cdef int tags = 0
    if not packet_bytes(s, 12, 2, h):
        return False    # uncovered: the helpers leave 14 bytes
    type = be16(h)
    at.at = ETH_HLEN
    at.end = K_skbs[s].len
    while (tags < 2 and (type == ETH_P_8021Q or type == ETH_P_8021AD)
           and not quirk(QUIRK_H09)):
        if not packet_bytes(s, at.at, 4, h):
            return False
        type = be16(h + 2)
        at.at += VLAN_HLEN
        tags += 1
    if type != ETH_P_IP and type != ETH_P_IPV6:
        return False
    if not (parse_ipv6(s, at) if type == ETH_P_IPV6 else parse_ipv4(s, at)):
        return False
    if quirk(QUIRK_H09):
        return True
    if at.proto == IPPROTO_IPIP:
        return parse_ipv4(s, at)
    return at.proto != IPPROTO_IPV6 or parse_ipv6(s, at)


cdef bint checksum_setup(int s) noexcept nogil:
    """skb_checksum_setup(skb, true): a partial checksum by what the packet's bytes say, with the
    sum of its pseudo header anew, for addresses may be others; False where there is none."""
    cdef Parsed at
    cdef Skb* p
    cdef uint8_t h[8]
    cdef uint32_t offset, sum
    if not parse_packet(s, &at):
        return False
    if at.proto == IPPROTO_TCP:
        offset = TCP_CHECK_OFFSET
    elif at.proto == IPPROTO_UDP:
        offset = UDP_CHECK_OFFSET
    else:
        return False
    if (at.at + (TCP_HLEN if at.proto == IPPROTO_TCP else UDP_HLEN) > at.end
            or not packet_bytes(s, at.at + offset, 2, h)):
        return False    # uncovered: no write of four bytes makes just a length so small
    if at.proto == IPPROTO_UDP:
        if not packet_bytes(s, at.at + 4, 2, h + 2) or be16(h + 2) != at.end - at.at:
            return False
    p = skb_get(s, b"checksum_setup:skb")
    if not skb_partial_csum_set(p, at.at, offset):
        return False    # uncovered: its bytes have been read
    sum = fold(at.pseudo + at.proto + (at.end - at.at))
    if sum != be16(h):
        return checksum_write(p.head + p.data + at.at + offset, sum)
    return True


cdef bint checksum_write(uint64_t addr, uint32_t sum) noexcept nogil:
    """Two bytes that the driver computed go into the packet."""
    cdef int o, k = inet_new()
    if k == 0 or M.n_origins >= ORIGINS_MAX:
        # uncovered: a program has fewer ops than would be needed
        M.exhausted = True
        return False    # uncovered: as above
    o = M.n_origins
    M.n_origins += 1
    memset(&J_origins[o], 0, sizeof(Origin))
    J_origins[o].inet = <uint16_t>k
    J_inet[k].len = 2
    put_be16(J_inet[k].bytes, sum)
    check_write(addr, 2, b"checksum_write:check")
    extent_write(frame_of(addr), offset_of(addr), offset_of(addr) + 2, o, 0, False,
                 b"checksum_write:extent")
    return True


cdef bint csum_after_xdp(ReceiveQueue* rq, int s, uint8_t flags) noexcept nogil:
    """virtnet_set_csum_after_xdp(): what the flags of before mean for a packet that a program
    passed; False for a frame error."""
    cdef Skb* p = skb_get(s, b"csum_after_xdp:skb")
    if flags & HDR_F_NEEDS_CSUM:
        event(0x6600 + quirk(QUIRK_H02))
        if quirk(QUIRK_H02):
            # the zeroed header says that there is nothing to complete
            return True
        if quirk(QUIRK_H03):
            # the place is the one of before, whatever the program moved
            return skb_partial_csum_set(p, rq.csum_start, rq.csum_offset)
        return checksum_setup(s)
    if flags & HDR_F_DATA_VALID:
        p.ip_summed = CHECKSUM_UNNECESSARY
    return True
