# SPDX-License-Identifier: GPL-2.0-or-later
# coverage: off
"""The judge of the receive filter: what the device filters by against what the interface wants.

An interface that is up, with no work under way that would tell the device, has told it. What the
device was told last and refused is the device's affair, until it is told again.
"""

cdef bint F_starved             # the driver had no memory for a command, and sent no table since


cdef inline void judge_filter_reset() noexcept nogil:
    global F_starved
    F_starved = False


cdef inline void judge_filter_starved() noexcept nogil:
    """A command was not sent: there was no memory for it."""
    global F_starved
    F_starved = True


cdef apart_void judge_filter() noexcept nogil:
    """S48: the device's filter is the interface's."""
    cdef uint32_t wrong = 0
    if not vi.up or not vi.running or not vi.present or U.pending or M.exhausted:
        return
    if dev_filter.promisc != U.promisc:
        wrong |= NACK_COMMANDS_PROMISC
    if dev_filter.allmulti != U.allmulti:
        wrong |= NACK_COMMANDS_ALLMULTI
    if dev_filter.unicast != U.unicast or dev_filter.multicast != U.multicast:
        wrong |= NACK_COMMANDS_MAC_TABLE
    wrong &= ~dev_filter.refused
    if likely(not wrong):
        return
    if F_starved:
        violation(CHECK_S48, b"judge_filter:no_memory", b"filter", 0,
                  b"the device was not told of the receive mode, for want of memory: %lld is wrong",
                  wrong, 0, 0)
    if dev_filter.again and not dev_filter.told:
        violation(CHECK_S48, b"judge_filter:after_resume", b"filter", 0,
                  b"the device was reset, and nobody told it the receive mode: %lld is wrong",
                  wrong, 0, 0)
    violation(CHECK_S48, b"judge_filter:stale", b"filter", 0,
              b"the receive mode is not what the interface wants: %lld is wrong, told %lld, "
              b"refused %lld", wrong, dev_filter.told, dev_filter.refused)
