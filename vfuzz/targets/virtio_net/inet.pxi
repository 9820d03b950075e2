# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""Packets of real protocols: how the device makes them, and sums of bytes that are not stored.

Headers are kept with the packet (J_inet), payload is the pattern of its origin as ever. Addresses
are chosen so that a program that moves the start by a tag or a tunnel's header leaves a packet
again: the source address has a VLAN tag's type where a tag of 4 bytes in front needs it, the outer
destination of a tunnel ends with the type of IPv4.
"""

cdef enum:
    INET_MAX = 256              # packets of this kind in one program
    INET_BYTES = 128            # the longest headers are 120 bytes
    ETH_P_IP = 0x0800
    ETH_P_IPV6 = 0x86DD
    ETH_P_8021Q = 0x8100
    ETH_P_8021AD = 0x88A8
    IPPROTO_HOPOPTS = 0
    IPPROTO_IPIP = 4
    IPPROTO_TCP = 6
    IPPROTO_UDP = 17
    IPPROTO_IPV6 = 41
    IPPROTO_ROUTING = 43
    IPPROTO_DSTOPTS = 60
    IPPROTO_SCTP = 132
    VXLAN_PORT = 4789
    SCTP_HLEN = 12
    SCTP_CHUNK_HLEN = 16        # of a DATA chunk

cdef struct InetBytes:
    uint8_t bytes[INET_BYTES]
    uint32_t len

cdef struct InetPlan:           # of a packet that is being made, places from its first byte
    uint32_t l4                 # the outermost transport header
    uint32_t check              # and its checksum
    uint8_t proto
    uint32_t inner              # inner transport header of VXLAN, 0 none

cdef InetBytes J_inet[INET_MAX]
cdef int J_n_inet               # entry 0 is none
cdef uint32_t[256] crc32c_table

crc_prepare(crc32c_table, 0x82F63B78u)


cdef inline void inet_reset() noexcept nogil:
    global J_n_inet
    J_n_inet = 1


cdef inline uint32_t be16(const uint8_t* p) noexcept nogil:
    return (<uint32_t>p[0] << 8) | p[1]


cdef inline void put_be16(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = <uint8_t>(value >> 8)
    p[1] = <uint8_t>value


cdef int inet_new() noexcept nogil:
    """A place in J_inet, empty; 0 when there is none."""
    global J_n_inet
    if J_n_inet == INET_MAX:
        # uncovered: a program has fewer ops than would be needed
        M.exhausted = True
        return 0        # uncovered: as above
    J_n_inet += 1
    memset(&J_inet[J_n_inet - 1], 0, sizeof(InetBytes))
    return J_n_inet - 1


# ---- sums --------------------------------------------------------------------------------------

cdef inline uint32_t fold(uint64_t sum) noexcept nogil:
    """The ones' complement sum of 16-bit words, 0 as 0xFFFF."""
    while sum >> 16:
        sum = (sum & 0xFFFF) + (sum >> 16)
    return <uint32_t>sum if sum else 0xFFFF


cdef uint64_t bytes_sum(const uint8_t* p, uint32_t size) noexcept nogil:
    cdef uint64_t sum = 0
    cdef uint32_t i
    for i in range(size):
        sum += p[i] if i & 1 else <uint32_t>p[i] << 8
    return sum


cdef uint64_t origin_sum(int origin, uint32_t at, uint32_t size, bint odd) noexcept nogil:
    """Sum of `size` bytes of an origin from `at` on, of which the first is the second of its word
    if `odd`. What no header is repeats every 256 bytes."""
    cdef uint32_t plain = origin_headers(origin)
    cdef uint64_t sum = 0, period = 0
    cdef uint32_t i, rounds, byte
    while size and at < plain:
        sum += origin_byte(origin, at) if odd else <uint32_t>origin_byte(origin, at) << 8
        odd = not odd
        at += 1
        size -= 1
    rounds = size / 256
    if rounds:
        for i in range(256):
            byte = origin_byte(origin, at + i)
            period += byte if odd != <bint>(i & 1) else byte << 8
        sum += period * rounds
    for i in range(size & 255):
        byte = origin_byte(origin, at + i)
        sum += byte if odd != <bint>(i & 1) else byte << 8
    return sum


cdef uint64_t pieces_sum(int n, uint32_t start, uint32_t end) noexcept nogil:
    """Sum of bytes [start, end) of what K_pieces[0..n) hold."""
    cdef uint32_t pos = 0, a, b
    cdef uint64_t sum = 0
    cdef int i
    for i in range(n):
        a = max(pos, start)
        b = min(pos + K_pieces[i].size, end)
        if a < b:
            sum += origin_sum(K_pieces[i].origin, K_pieces[i].at + (a - pos), b - a,
                              (a - start) & 1)
        pos += K_pieces[i].size
    return sum


cdef void pieces_copy(int n, uint32_t start, uint8_t* out, uint32_t size) noexcept nogil:
    """`size` bytes from `start` on of what K_pieces[0..n) hold, which is so many."""
    cdef uint32_t pos = 0, k, have = 0
    cdef int i
    for i in range(n):
        k = start + have - pos
        while have < size and k < K_pieces[i].size:
            out[have] = origin_byte(K_pieces[i].origin, K_pieces[i].at + k)
            have += 1
            k += 1
        pos += K_pieces[i].size


cdef uint32_t pieces_crc32c(int n, uint32_t start, uint32_t end, uint32_t zero) noexcept nogil:
    """CRC-32C of bytes [start, end), the four at `zero` taken for zeroes."""
    cdef uint32_t pos = 0, k, crc = 0xFFFFFFFFu
    cdef uint8_t byte
    cdef int i
    for i in range(n):
        k = start - pos if start > pos else 0
        while k < K_pieces[i].size and pos + k < end:
            byte = origin_byte(K_pieces[i].origin, K_pieces[i].at + k)
            if zero <= pos + k < zero + 4:
                byte = 0
            crc = crc_next(crc32c_table, crc, byte)
            k += 1
        pos += K_pieces[i].size
    return ~crc


# ---- making a packet ---------------------------------------------------------------------------

cdef uint32_t put_ethernet(uint8_t* p, uint32_t at, uint32_t vlans, uint32_t type) noexcept nogil:
    memcpy(p + at, b"\x02\x00\x00\x00\x00\x01\x02\x00\x81\x00\x00\x07", 12)
    at += 12
    while vlans:
        put_be16(p + at, ETH_P_8021Q)
        put_be16(p + at + 2, vlans)
        at += 4
        vlans -= 1
    put_be16(p + at, type)
    return at + 2


cdef uint32_t put_ipv4(uint8_t* p, uint32_t at, uint32_t proto, uint32_t size) noexcept nogil:
    """Header of a packet with `size` bytes behind it."""
    cdef uint8_t* h = p + at
    h[0] = 0x45
    put_be16(h + 2, IP_HLEN + size)
    put_be16(h + 4, 1)
    put_be16(h + 6, 0x4000)     # not to be fragmented
    h[8] = 64
    h[9] = <uint8_t>proto
    memcpy(h + 12, b"\x0A\x00\x00\x01\x0A\x00\x08\x00", 8)
    put_be16(h + 10, <uint16_t>~fold(bytes_sum(h, IP_HLEN)))
    return at + IP_HLEN


cdef uint32_t put_ipv6(uint8_t* p, uint32_t at, uint32_t proto, uint32_t size) noexcept nogil:
    cdef uint8_t* h = p + at
    h[0] = 0x60
    put_be16(h + 4, size)
    h[6] = <uint8_t>proto
    h[7] = 64
    h[8] = h[24] = 0xFD
    h[23] = 1
    h[39] = 2
    return at + IPV6_HLEN


cdef uint32_t put_tcp(uint8_t* p, uint32_t at) noexcept nogil:
    put_be16(p + at, 1024)
    put_be16(p + at + 2, 80)
    put_be16(p + at + 6, 1)
    p[at + 12] = 0x50
    p[at + 13] = 0x10           # ACK
    put_be16(p + at + 14, 8192)
    return at + TCP_HLEN


cdef uint32_t put_udp(uint8_t* p, uint32_t at, uint32_t port, uint32_t size) noexcept nogil:
    put_be16(p + at, 1024)
    put_be16(p + at + 2, port)
    put_be16(p + at + 4, UDP_HLEN + size)
    return at + UDP_HLEN


cdef uint32_t put_sctp(uint8_t* p, uint32_t at, uint32_t size) noexcept nogil:
    """Common header and a DATA chunk with `size` bytes."""
    put_be16(p + at, 1024)
    put_be16(p + at + 2, 5001)
    put_be16(p + at + 6, 1)
    p[at + 13] = 3              # DATA, begin and end
    put_be16(p + at + 14, SCTP_CHUNK_HLEN + size)
    return at + SCTP_HLEN + SCTP_CHUNK_HLEN


cdef uint32_t inet_headers(uint32_t kind, uint32_t vlans) noexcept nogil:
    """Bytes of the headers of a packet of this kind."""
    cdef uint32_t size = ETH_HLEN + VLAN_HLEN * vlans
    size += (IPV6_HLEN if kind == INET_KIND_TCP6 or kind == INET_KIND_UDP6
             or kind == INET_KIND_OPTIONS6 else IP_HLEN)
    if kind == INET_KIND_UDP4 or kind == INET_KIND_UDP6:
        return size + UDP_HLEN
    if kind == INET_KIND_SCTP:
        return size + SCTP_HLEN + SCTP_CHUNK_HLEN
    if kind == INET_KIND_OPTIONS6:
        size += 8
    elif kind == INET_KIND_IPIP:
        size += IP_HLEN
    elif kind == INET_KIND_VXLAN:
        size += UDP_HLEN + 8 + ETH_HLEN + IP_HLEN
    return size + TCP_HLEN


cdef void inet_build(InetBytes* inet, InetPlan* plan, uint32_t kind, uint32_t vlans,
                     uint32_t payload) noexcept nogil:
    """The headers of a packet, with zeroes for the checksums of transport."""
    cdef uint8_t* p = inet.bytes
    cdef bint v6 = (kind == INET_KIND_TCP6 or kind == INET_KIND_UDP6
                    or kind == INET_KIND_OPTIONS6)
    cdef uint32_t at, rest
    inet.len = inet_headers(kind, vlans)
    plan.inner = 0
    plan.proto = IPPROTO_TCP
    at = put_ethernet(p, 0, vlans, ETH_P_IPV6 if v6 else ETH_P_IP)
    rest = inet.len + payload - at - (IPV6_HLEN if v6 else IP_HLEN)
    if kind == INET_KIND_UDP4 or kind == INET_KIND_UDP6 or kind == INET_KIND_VXLAN:
        plan.proto = IPPROTO_UDP
    elif kind == INET_KIND_SCTP:
        plan.proto = IPPROTO_SCTP
    if v6:
        at = put_ipv6(p, at, IPPROTO_HOPOPTS if kind == INET_KIND_OPTIONS6 else plan.proto, rest)
        if kind == INET_KIND_OPTIONS6:
            p[at] = IPPROTO_TCP
            p[at + 2] = 1       # PadN
            p[at + 3] = 4
            at += 8
    elif kind == INET_KIND_IPIP:
        at = put_ipv4(p, at, IPPROTO_IPIP, rest)
        at = put_ipv4(p, at, IPPROTO_TCP, rest - IP_HLEN)
    else:
        at = put_ipv4(p, at, plan.proto, rest)
    plan.l4 = at
    if plan.proto == IPPROTO_TCP:
        plan.check = at + TCP_CHECK_OFFSET
        put_tcp(p, at)
    elif plan.proto == IPPROTO_SCTP:
        plan.check = at + 8
        put_sctp(p, at, payload)
    else:
        plan.check = at + UDP_CHECK_OFFSET
        at = put_udp(p, at, VXLAN_PORT if kind == INET_KIND_VXLAN else 53,
                     inet.len + payload - at - UDP_HLEN)
        if kind == INET_KIND_VXLAN:
            p[at] = 8           # there is a network number
            p[at + 6] = 1
            at = put_ethernet(p, at + 8, 0, ETH_P_IP)
            plan.inner = put_ipv4(p, at, IPPROTO_TCP, TCP_HLEN + payload)
            put_tcp(p, plan.inner)


cdef uint32_t pseudo_sum(const uint8_t* p, uint32_t l4, uint32_t proto, uint32_t size,
                         bint v6) noexcept nogil:
    """Folded sum of the pseudo header of `size` bytes at l4, behind an IP header without options
    (of IPv6: and one of 8 bytes for all)."""
    cdef uint32_t network
    if v6:
        network = l4 - IPV6_HLEN
        if p[network] >> 4 != 6:
            network -= 8
        return fold(bytes_sum(p + network + 8, 32) + proto + size)
    return fold(bytes_sum(p + l4 - 8, 8) + proto + size)


cdef void inet_finish(int first, int n, InetBytes* inet, const InetPlan* plan, uint32_t checksum,
                      bint inner_wrong) noexcept nogil:
    """The packet has its buffers, origins [first, first+n): compute its checksums."""
    cdef uint8_t* p = inet.bytes
    cdef uint32_t size = 0, at, sum
    cdef int i, pieces = 0
    cdef bint v6 = p[plan.l4 - IP_HLEN] >> 4 != 4
    for i in range(n):
        at = 0 if i else vi.hdr_len
        if J_origins[first + i].written > at:
            pieces = piece_add(pieces, first + i, at, J_origins[first + i].written - at)
            size += J_origins[first + i].written - at
    if plan.inner:
        sum = pieces_sum(pieces, plan.inner, size)
        sum = fold(sum + pseudo_sum(p, plan.inner, IPPROTO_TCP, size - plan.inner, False))
        put_be16(p + plan.inner + TCP_CHECK_OFFSET, ~sum + inner_wrong)
    if plan.proto == IPPROTO_SCTP:
        sum = pieces_crc32c(pieces, plan.l4, size, plan.check)
        # least significant byte first
        p[plan.check] = <uint8_t>sum
        p[plan.check + 1] = <uint8_t>(sum >> 8)
        p[plan.check + 2] = <uint8_t>(sum >> 16)
        p[plan.check + 3] = <uint8_t>(sum >> 24)
        p[plan.check] ^= checksum == INET_CHECKSUM_WRONG
        return
    sum = pseudo_sum(p, plan.l4, plan.proto, size - plan.l4, v6)
    if checksum == INET_CHECKSUM_PARTIAL:
        put_be16(p + plan.check, sum)
        return
    sum = ~fold(pieces_sum(pieces, plan.l4, size) + sum) & 0xFFFF
    if sum == 0:
        sum = 0xFFFF            # what is 0 in UDP means that there is none
    if checksum == INET_CHECKSUM_WRONG:
        sum = 0x0101 if sum == 0xFFFF else sum + 1
    put_be16(p + plan.check, sum)
