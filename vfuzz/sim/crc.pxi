# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""CRC-32: as zlib has it, with which traces sum up contents, and with other polynomials.

A sum begins with the complement of the one before, and ends with its own.
"""

cdef uint32_t[256] crc_table    # of zlib's


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


crc_prepare(crc_table, 0xEDB88320u)
