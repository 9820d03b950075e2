# SPDX-License-Identifier: GPL-2.0-or-later
"""linux-7.2: what a GSO packet without a partial checksum is, its bytes say.

As much of skb_flow_dissect_flow_keys_basic() as can end at TCP or UDP: tags, IPv4, IPv6 with its
options, IP in IP. Nothing is pulled.
"""

cdef enum:
    IPPROTO_FRAGMENT = 44
    DISSECT_MAX = 15            # MAX_FLOW_DISSECT_HDRS

cdef struct Dissected:
    uint32_t type               # basic.n_proto
    uint32_t proto              # basic.ip_proto
    uint32_t at                 # control.thoff


cdef bint dissect_bytes(int s, uint32_t at, uint32_t size, uint8_t* out) noexcept nogil:
    """__skb_header_pointer(): bytes of the packet wherever they lie; False beyond its end."""
    cdef int i = 0
    cdef int n
    cdef uint32_t k
    if at + size > K_skbs[s].len:
        return False
    n = skb_pieces(s, b"dissect_bytes:pieces")
    for k in range(size):
        while i < n and at >= K_pieces[i].size:
            at -= K_pieces[i].size
            i += 1
        if i == n:
            # uncovered: a packet of more pieces than are kept, which begins before them
            return False
        if K_pieces[i].origin == 0:
            O.header_unknown = True
        out[k] = origin_byte(K_pieces[i].origin, K_pieces[i].at + at)
        at += 1
    return True


cdef bint dissect_ipv6(int s, Dissected* d) noexcept nogil:
    """The header at d.at and the options behind it."""
    cdef uint8_t h[40]
    cdef int n
    if not dissect_bytes(s, d.at, IPV6_HLEN, h):
        return False
    d.proto = h[6]
    d.at += IPV6_HLEN
    for n in range(DISSECT_MAX):
        if (d.proto == IPPROTO_HOPOPTS or d.proto == IPPROTO_ROUTING
                or d.proto == IPPROTO_DSTOPTS):
            # uncovered: `inet` has GSO for plain TCP only
            if not dissect_bytes(s, d.at, 2, h):
                return False
            d.at += (<uint32_t>h[1] + 1) * 8
        elif d.proto == IPPROTO_FRAGMENT:
            # uncovered: no packet of `inet` is a fragment, of patterns one in 256 looks like one
            if not dissect_bytes(s, d.at, 8, h):
                return False
            d.at += 8
            d.proto = h[0]
            return True
        else:
            return True
        d.proto = h[0]      # uncovered: as above
    return False    # uncovered: packets have one such header


cdef bint dissect(int s, uint32_t type, Dissected* d) noexcept nogil:
    """skb_flow_dissect_flow_keys_basic() from the network header on."""
    cdef uint8_t h[20]
    cdef int n
    d.at = ETH_HLEN
    for n in range(DISSECT_MAX):
        step(b"dissect:loop")
        d.type = type
        d.proto = 0
        if type == ETH_P_8021Q or type == ETH_P_8021AD:
            if not dissect_bytes(s, d.at, VLAN_HLEN, h):
                return False    # uncovered: packets with tags have more than these
            type = be16(h + 2)
            d.at += VLAN_HLEN
            continue
        if type == ETH_P_IP:
            if not dissect_bytes(s, d.at, IP_HLEN, h) or (h[0] & 15) < 5:
                return False
            d.proto = h[9]
            d.at += <uint32_t>(h[0] & 15) * 4
            if be16(h + 6) & 0x3FFF:
                # of a fragment nothing more is looked at
                return True
        elif type != ETH_P_IPV6 or not dissect_ipv6(s, d):
            return False
        if d.proto == IPPROTO_IPIP:
            # uncovered: `inet` has GSO for plain TCP only
            type = ETH_P_IP
        elif d.proto == IPPROTO_IPV6:
            # uncovered: as above
            type = ETH_P_IPV6
        else:
            return True
    return False    # uncovered: packets have three such headers at most


cdef bint gso_dissect(int s, uint8_t gso_type, uint32_t thlen, uint32_t* p_off) noexcept nogil:
    """Is the packet of the protocol that its GSO type names? *p_off: the end of its headers."""
    cdef Dissected d
    cdef uint8_t h[2]
    cdef uint8_t type = gso_type & <uint8_t>~HDR_GSO_ECN
    cdef uint32_t proto
    if not dissect_bytes(s, 12, 2, h):
        return False    # uncovered: the shortest frame has an Ethernet header
    proto = be16(h)
    if not dissect(s, proto, &d):
        # UFO does not say which IP
        if type != HDR_GSO_UDP or proto != ETH_P_IP or not dissect(s, ETH_P_IPV6, &d):
            return False
    d.at = min(d.at, K_skbs[s].len)
    p_off[0] = d.at + thlen
    event(0x2700 + <uint32_t>type * 2 + (d.type == ETH_P_IPV6))
    if not pskb_may_pull(s, p_off[0], b"gso_dissect:pull"):
        return False
    if d.proto != (IPPROTO_TCP if thlen == TCP_HLEN else IPPROTO_UDP):
        return False
    if type == HDR_GSO_TCPV4:
        return d.type == ETH_P_IP
    return type != HDR_GSO_TCPV6 or d.type == ETH_P_IPV6
