# SPDX-License-Identifier: GPL-2.0-or-later
"""The XDP program: what the ops said it does with each packet, by the helpers of programs."""

cdef enum:
    VERDICTS_MAX = 16
    XDP_WRITE = 4               # bytes of one write into the packet

cdef struct Verdict:
    int action                  # VERDICT_ACTION_*
    int target                  # VERDICT_TARGET_*
    uint32_t count              # packets that it is still for
    uint32_t push
    uint32_t pull
    uint32_t grow
    uint32_t trim
    uint32_t meta
    uint32_t write

cdef struct Program:
    int n
    int at                      # the verdict for the next packet
    int target                  # of the running redirection
    uint32_t written            # bytes of ORIGIN_PROGRAM so far: each is another one

cdef Program G
cdef Verdict G_verdicts[VERDICTS_MAX]


cdef inline void program_reset() noexcept nogil:
    memset(&G, 0, sizeof(G))


cdef inline int xdp_redirect_target() noexcept nogil:
    """Hook of model/xdp.pxi: TO_*, in the order of the op's names."""
    return G.target


cdef void program_write(uint64_t addr, uint32_t size) noexcept nogil:
    """The program writes `size` bytes of its own."""
    cdef uint32_t offset = offset_of(addr)
    check_write(addr, size, b"program_write:check")
    extent_write(frame_of(addr), offset, offset + size, ORIGIN_PROGRAM, G.written, False,
                 b"program_write:extent")
    G.written += size


cdef int program_verdict(const ReceiveQueue* rq, const Verdict* v) noexcept nogil:
    if v.action == VERDICT_ACTION_DROP:
        return XDP_DROP
    if v.action == VERDICT_ACTION_ABORTED:
        return XDP_ABORTED
    if v.action == VERDICT_ACTION_INVALID:
        return XDP_NOTHING
    if v.action == VERDICT_ACTION_TX:
        return XDP_TX
    if v.action == VERDICT_ACTION_REDIRECT:
        if v.target == VERDICT_TARGET_SOCKET and not xsk_bound(rq.index):
            # bpf_redirect_map(): nothing in the map there
            return XDP_ABORTED
        return XDP_REDIRECT
    return XDP_PASS


cdef int xdp_program_run(ReceiveQueue* rq, XdpBuff* x) noexcept nogil:
    """bpf_prog_run_xdp(): what the ops asked for, as far as the helpers allow it; its verdict."""
    cdef Verdict* v
    cdef uint32_t done = 0
    cdef uint64_t addr
    judge_xdp_begin(rq, x)
    if G.n == 0:
        judge_xdp_end(x, XDP_PASS)
        return XDP_PASS
    v = &G_verdicts[G.at]
    if v.pull and bpf_xdp_adjust_head(x, <int>v.pull, b"xdp_program_run:pull") == 0:
        judge_xdp_pull(v.pull)
        done |= 1
    if v.meta and bpf_xdp_adjust_meta(x, -<int>v.meta) == 0:
        program_write(x.data_meta, v.meta)
        judge_xdp_meta(v.meta)
        done |= 2
    if v.push and bpf_xdp_adjust_head(x, -<int>v.push, b"xdp_program_run:push") == 0:
        judge_xdp_push(v.push)
        done |= 4
    if v.trim and bpf_xdp_adjust_tail(x, -<int>v.trim, b"xdp_program_run:trim") == 0:
        judge_xdp_trim(v.trim)
        done |= 8
    if v.grow and bpf_xdp_adjust_tail(x, <int>v.grow, b"xdp_program_run:grow") == 0:
        judge_xdp_grow(v.grow)
        done |= 16
    if v.write:
        addr = x.data + v.write - 1
        if addr + XDP_WRITE <= x.data_end:
            program_write(addr, XDP_WRITE)
            judge_xdp_write(v.write - 1, XDP_WRITE, ORIGIN_PROGRAM, G.written - XDP_WRITE)
            done |= 32
    G.target = v.target
    event(0x6500 + done * 8 + <uint32_t>v.action)
    # the last verdict stays
    v.count -= v.count > 0
    if v.count == 0 and G.at + 1 < G.n:
        G.at += 1
    judge_xdp_end(x, program_verdict(rq, v))
    return program_verdict(rq, v)


cdef int op_verdict(const vf_op* op) noexcept nogil:
    """Append a verdict; how many there are, -1 where there is no place for more."""
    cdef Verdict* v
    if G.at == G.n - 1 and G_verdicts[G.at].count == 0:
        # the last one has had its packets
        G.at = 0
        G.n = 0
    if G.n == VERDICTS_MAX:
        return -1
    v = &G_verdicts[G.n]
    G.n += 1
    v.action = <int>op.arg[VERDICT_ACTION]
    v.target = <int>op.arg[VERDICT_TARGET]
    v.count = op.arg[VERDICT_COUNT]
    v.push = op.arg[VERDICT_PUSH]
    v.pull = op.arg[VERDICT_PULL]
    v.grow = op.arg[VERDICT_GROW]
    v.trim = op.arg[VERDICT_TRIM]
    v.meta = op.arg[VERDICT_META]
    v.write = op.arg[VERDICT_WRITE]
    return G.n
