# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge of checksums: computes what a packet's bytes say, and holds it against what is said.

It takes packets apart itself: Ethernet, up to two tags, IPv4 and IPv6 with options, one IP header
inside another, then TCP, UDP or SCTP. What it cannot take apart it says nothing of.
"""

cdef struct Look:               # a packet taken apart, places from its first byte
    bint known                  # whole, unfragmented, transport and all
    uint32_t l4
    uint32_t end                # of what the checksum covers
    uint32_t check              # where it is
    uint8_t proto
    bint v6
    uint64_t pseudo

cdef Look L


cdef inline uint32_t pieces_be16(int n, uint32_t at) noexcept nogil:
    return <uint32_t>pieces_sum(n, at, at + 2)


cdef bint look_ip(int n, uint32_t at, uint32_t end, bint v6) noexcept nogil:
    """An IP header at `at`, in a packet that ends at `end`: L's l4, end, proto and pseudo."""
    cdef uint8_t h[40]
    cdef uint32_t size, next
    if at + (40 if v6 else 20) > end:
        return False
    pieces_copy(n, at, h, 40 if v6 else 20)
    L.v6 = v6
    if v6:
        if h[0] >> 4 != 6:
            return False
        L.end = at + 40 + be16(h + 4)
        L.l4 = at + 40
        next = h[6]
        L.pseudo = bytes_sum(h + 8, 32)
        if L.end > end:
            return False
        while next == IPPROTO_HOPOPTS or next == IPPROTO_ROUTING or next == IPPROTO_DSTOPTS:
            step(b"look_ip:options")
            if L.l4 + 8 > L.end:
                return False
            next = pieces_be16(n, L.l4)
            L.l4 += ((next & 0xFF) + 1) * 8
            next >>= 8
    else:
        size = <uint32_t>(h[0] & 15) * 4
        L.end = at + be16(h + 2)
        L.l4 = at + size
        next = h[9]
        L.pseudo = bytes_sum(h + 12, 8)
        if h[0] >> 4 != 4 or size < 20 or be16(h + 6) & 0x3FFF:
            return False
    L.proto = <uint8_t>next
    return L.l4 <= L.end <= end


cdef bint look_transport(int n) noexcept nogil:
    cdef uint32_t size, check
    if L.proto == IPPROTO_TCP:
        size = TCP_HLEN
        check = TCP_CHECK_OFFSET
    elif L.proto == IPPROTO_UDP:
        size = UDP_HLEN
        check = UDP_CHECK_OFFSET
    elif L.proto == IPPROTO_SCTP:
        size = SCTP_HLEN
        check = 8
    else:
        return False
    L.check = L.l4 + check
    L.pseudo += L.proto + (L.end - L.l4)
    if L.l4 + size > L.end:
        return False
    return L.proto != IPPROTO_UDP or pieces_be16(n, L.l4 + 4) == L.end - L.l4


cdef void inet_look(int n, uint32_t len) noexcept nogil:
    """Take apart the packet of `len` bytes that K_pieces[0..n) hold: L."""
    cdef uint32_t at = 12
    cdef uint32_t type
    cdef int tags = 0
    L.known = False
    if n >= PIECES_MAX or len < ETH_HLEN:
        return
    type = pieces_be16(n, at)
    while tags < 2 and (type == ETH_P_8021Q or type == ETH_P_8021AD) and at + 6 <= len:
        at += VLAN_HLEN
        type = pieces_be16(n, at)
        tags += 1
    if type != ETH_P_IP and type != ETH_P_IPV6:
        return
    if not look_ip(n, at + 2, len, type == ETH_P_IPV6):
        return
    if L.proto == IPPROTO_IPIP or L.proto == IPPROTO_IPV6:
        if not look_ip(n, L.l4, L.end, L.proto == IPPROTO_IPV6):
            return
    L.known = look_transport(n)


cdef bint look_valid(int n) noexcept nogil:
    """Is the checksum of the packet that L knows right?"""
    cdef uint32_t sum
    if L.proto == IPPROTO_SCTP:
        sum = pieces_crc32c(n, L.l4, L.end, L.check)
        return (pieces_be16(n, L.check) == ((sum & 0xFF) << 8 | (sum >> 8 & 0xFF))
                and pieces_be16(n, L.check + 2) == ((sum >> 8 & 0xFF00) | sum >> 24))
    if L.proto == IPPROTO_UDP and not L.v6 and pieces_be16(n, L.check) == 0:
        return True
    return fold(L.pseudo + pieces_sum(n, L.l4, L.end)) == 0xFFFF


cdef bint look_completes(int n, uint32_t start, uint32_t offset) noexcept nogil:
    """Would the packet that L knows be right with the sum from `start` to its end, complemented,
    at `offset` behind that? skb_checksum_help(), after ip_rcv() or ip6_rcv() has trimmed what lies
    behind the IP packet."""
    cdef uint64_t sum
    if start != L.l4 or start + offset != L.check or L.proto == IPPROTO_SCTP:
        return False
    sum = pieces_sum(n, L.l4, L.end)
    sum += <uint16_t>~fold(sum)
    sum -= pieces_be16(n, L.check)
    return fold(L.pseudo + sum) == 0xFFFF


cdef void judge_inet(int s) noexcept nogil:
    """S31: what is said to be verified is right. S28: completing a partial checksum makes a right
    one, wherever a program moved the packet. skb_pieces() has been called."""
    cdef Skb* p = &K_skbs[s]
    cdef int n = skb_pieces(s, b"judge_inet:pieces")
    inet_look(n, p.len)
    if p.ip_summed == CHECKSUM_PARTIAL:
        if unlikely(L.known and not look_completes(n, p.csum_start - p.data, p.csum_offset)
                    or E.runs and not L.known):
            violation(CHECK_S28, b"judge_inet:moved" if E.runs else b"judge_inet:partial", b"skb",
                      s, b"checksum to be completed at %lld+%lld, the packet has it at %lld",
                      p.csum_start - p.data, p.csum_offset, L.check if L.known else -1)
    elif p.ip_summed == CHECKSUM_UNNECESSARY and L.known:
        if unlikely(not look_valid(n)):
            violation(CHECK_S31, b"judge_inet:verified" if E.runs == 0 else
                      b"judge_inet:verified_moved" if E.moved == MOVED_HEAD else
                      b"judge_inet:verified_changed", b"skb", s,
                      b"a packet of protocol %lld is marked verified, and its checksum is wrong",
                      L.proto, 0, 0)


cdef void judge_inet_left(const XdpBuff* x) noexcept nogil:
    """The program is done with a packet of a real protocol: did it leave one?"""
    cdef uint32_t len = <uint32_t>(x.data_end - x.data) + x.frags_size
    inet_look(xdp_pieces(x), len)
    E.known = L.known and L.proto != IPPROTO_SCTP
