# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""CRC-32 as zlib has it, with which traces sum up contents.

A sum begins with the complement of the one before, and ends with its own.
"""

cdef uint32_t[256] crc_table


cdef void crc_init() noexcept nogil:
    cdef uint32_t i, k, c
    for i in range(256):    # uncovered: once, when the module is loaded
        c = i
        for k in range(8):
            c = (c >> 1) ^ (0xEDB88320u if c & 1 else 0)
        crc_table[i] = c


cdef inline uint32_t crc_byte(uint32_t crc, uint8_t byte) noexcept nogil:
    return crc_table[(crc ^ byte) & 0xFF] ^ (crc >> 8)


crc_init()
