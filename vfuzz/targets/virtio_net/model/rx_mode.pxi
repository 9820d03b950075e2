# SPDX-License-Identifier: GPL-2.0-or-later
"""The receive filter: what the interface wants to receive, and how the driver tells the device."""

cdef extern from * nogil:
    int __builtin_popcount(unsigned int x)

cdef enum:
    ETH_ALEN = 6
    STACK_GROUP = 0x10          # 224.0.0.1 among multicast addresses, behind the user's four

cdef struct RxMode:
    bint promisc                # IFF_PROMISC
    bint allmulti               # IFF_ALLMULTI
    uint32_t unicast            # addresses, a bit each
    uint32_t multicast
    bint pending                # rx_mode_work is scheduled (6.12)
    bint late                   # and its worker has something else to do first
    int disabled                # disable_work(): so many did (6.12)
    bint enabled                # rx_mode_work_enabled (7.2)

cdef RxMode U


cdef inline void rx_mode_reset() noexcept nogil:
    memset(&U, 0, sizeof(U))
    # probe enables the work last, and nothing is up before
    U.enabled = True


# ---- the driver --------------------------------------------------------------------------------

cdef inline void rx_mode_send(uint32_t command, uint32_t value, uint32_t other) noexcept nogil:
    """virtnet_send_command(): its header and its status lie in the control buffer. A command that
    is refused is a message in the log and nothing else."""
    check_live(frame_of(vi.ctrl_mem), b"rx_mode_send:ctrl")
    dev_set_filter(command, value, other)


cdef void rx_mode_commands() noexcept nogil:
    """virtnet_set_rx_mode() of 6.1, virtnet_rx_mode_work() of 6.12: three commands. What there is
    no memory for is not sent, and nobody tries again."""
    cdef uint64_t flag = 0, table
    cdef uint32_t size = (__builtin_popcount(U.unicast)
                          + __builtin_popcount(U.multicast)) * ETH_ALEN + 2 * 4
    if era_6_12():
        flag = kmalloc(1, b"rx_mode_commands:flag")
        if flag == 0:
            judge_filter_starved()
            return
    rx_mode_send(NACK_COMMANDS_PROMISC, U.promisc, 0)
    rx_mode_send(NACK_COMMANDS_ALLMULTI, U.allmulti, 0)
    table = kmalloc(size, b"rx_mode_commands:table")
    if table:
        cpu_write(table, size, b"rx_mode_commands:lists")
        rx_mode_send(NACK_COMMANDS_MAC_TABLE, U.unicast, U.multicast)
        kfree(table, b"rx_mode_commands:free_table")
    else:
        judge_filter_starved()
    kfree(flag, b"rx_mode_commands:free_flag")
    event(0x6900 + U.promisc + 2 * U.allmulti + 4 * (table != 0) + 8 * vi.up + 16 * (dev_nack != 0))


cdef void rx_mode_work() noexcept nogil:
    """The work item runs, if it is scheduled."""
    if U.pending:
        U.pending = False
        U.late = False
        rx_mode_commands()


cdef void virtnet_set_rx_mode() noexcept nogil:
    """virtnet_set_rx_mode(): at once in 6.1, else by a work item if that may run."""
    if not era_6_12():
        rx_mode_commands()
    elif U.enabled and U.disabled == 0:
        U.pending = True


cdef void disable_rx_mode_work() noexcept nogil:
    """disable_rx_mode_work(): 6.12 cancels the work, 7.2 waits for it."""
    if era_7_2():
        U.enabled = False
        rx_mode_work()
    elif era_6_12():
        U.disabled += 1
        U.pending = False
        U.late = False


cdef void enable_rx_mode_work() noexcept nogil:
    """enable_rx_mode_work(): 6.12 asks for the work too, 7.2 only allows it."""
    if era_7_2():
        U.enabled = True
    elif era_6_12():
        U.disabled -= 1
        U.pending = U.disabled == 0 and vi.running


# ---- the core ----------------------------------------------------------------------------------

cdef inline void dev_set_rx_mode() noexcept nogil:
    """__dev_set_rx_mode(): of an interface that is up and there, and a device that filters."""
    if unlikely(feature(BOOT_FEATURES_CTRL_RX)) and vi.up and vi.present:
        virtnet_set_rx_mode()


cdef inline void dev_opened() noexcept nogil:
    """Behind ndo_open the core asks for the filter; then IPv4 joins 224.0.0.1 (ip_mc_up())."""
    dev_set_rx_mode()
    U.multicast |= STACK_GROUP
    dev_set_rx_mode()


cdef inline void dev_closed() noexcept nogil:
    """IPv4 leaves (ip_mc_down()): the interface is down, and the driver is not asked."""
    U.multicast &= ~<uint32_t>STACK_GROUP


cdef uint32_t addresses_change(uint32_t* have, uint32_t want) noexcept nogil:
    """One call of dev_uc_add(), dev_mc_add() or its like for each address: how many there were."""
    cdef uint32_t i, n = 0
    for i in range(4):
        if (have[0] ^ want) >> i & 1:
            have[0] ^= <uint32_t>1 << i
            n += 1
            dev_set_rx_mode()
    return n


cdef int op_rx_mode(const vf_op* op) noexcept nogil:
    """The user asks for a receive mode; how much of it is new, or -ENODEV."""
    cdef uint32_t n = 0
    if not vi.registered:
        return -ENODEV
    U.late = op.arg[RX_MODE_LATE] != 0
    if U.promisc != <int>op.arg[RX_MODE_PROMISC]:
        U.promisc = <int>op.arg[RX_MODE_PROMISC]
        n += 1
        dev_set_rx_mode()
    if U.allmulti != <int>op.arg[RX_MODE_ALLMULTI]:
        U.allmulti = <int>op.arg[RX_MODE_ALLMULTI]
        n += 1
        dev_set_rx_mode()
    n += addresses_change(&U.unicast, op.arg[RX_MODE_UNICAST])
    n += addresses_change(&U.multicast,
                          op.arg[RX_MODE_MULTICAST] | (U.multicast & STACK_GROUP))
    # what is not scheduled is not late either
    U.late = U.late and U.pending
    return <int>n
