# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""CRC-32: as zlib has it, with which traces sum up contents, and with other polynomials.

A sum begins with the complement of the one before, and ends with its own.
"""

cdef uint32_t[256] crc_table    # of zlib's
cdef uint32_t[8][256] crc_ahead  # [k]: of a byte that k others follow, none of which counts


cdef void crc_prepare(uint32_t* table, uint32_t polynomial) noexcept nogil:
    """What crc_next() needs of a polynomial, whose bits are reversed."""
    cdef uint32_t i, k, c
    for i in range(256):    # uncovered: once, when the module is loaded
        c = i
        for k in range(8):
            c = (c >> 1) ^ (polynomial if c & 1 else 0)
        table[i] = c


cdef inline uint32_t crc_next(const uint32_t* table, uint32_t crc, uint8_t byte) noexcept nogil:
    return table[(crc ^ byte) & 0xFF] ^ (crc >> 8)


cdef inline uint32_t crc_byte(uint32_t crc, uint8_t byte) noexcept nogil:
    return crc_next(crc_table, crc, byte)


cdef void crc_prepare_many() noexcept nogil:
    """What crc_many() needs; crc_table is there."""
    cdef uint32_t i, k
    for i in range(256):    # uncovered: once, when the module is loaded
        crc_ahead[0][i] = crc_table[i]
        for k in range(1, 8):
            crc_ahead[k][i] = crc_next(crc_table, crc_ahead[k - 1][i], 0)


cdef uint32_t crc_many(uint32_t crc, const uint8_t* bytes, uint32_t n) noexcept nogil:
    """crc_byte() of n bytes, eight of them at a time."""
    cdef const uint8_t* end = bytes + n
    while end - bytes >= 8:
        crc = (crc_ahead[7][(crc ^ bytes[0]) & 0xFF] ^ crc_ahead[6][(crc >> 8 ^ bytes[1]) & 0xFF]
               ^ crc_ahead[5][(crc >> 16 ^ bytes[2]) & 0xFF] ^ crc_ahead[4][crc >> 24 ^ bytes[3]]
               ^ crc_ahead[3][bytes[4]] ^ crc_ahead[2][bytes[5]]
               ^ crc_ahead[1][bytes[6]] ^ crc_ahead[0][bytes[7]])
        bytes += 8
    while bytes < end:
        crc = crc_byte(crc, bytes[0])
        bytes += 1
    return crc


crc_prepare(crc_table, 0xEDB88320u)
crc_prepare_many()
