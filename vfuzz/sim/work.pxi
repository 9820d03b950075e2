# SPDX-License-Identifier: GPL-2.0-or-later
"""NAPI contexts, delayed work and preemption points: what else may run, and when.

Nothing runs by itself. A scheduled NAPI context or work item is run by an op, or at a preemption
point inside a longer op (`race=..., at=n`), so a race at the granularity of one step is an ordinary
program.
"""

cdef enum:
    NAPI_DISABLED = 0           # after netif_napi_add() and napi_disable()
    NAPI_IDLE = 1
    NAPI_SCHEDULED = 2

cdef struct Napi:
    int state
    bint busy                   # IN_BUSY_POLL: completing it leaves callbacks off
    bint missed                 # NAPI_STATE_MISSED: scheduled again while it was not idle

cdef struct DelayedWork:
    bint pending
    bint running


cdef inline bint napi_schedule_prep(Napi* n) noexcept nogil:
    """napi_schedule_prep() and __napi_schedule(): True if it was idle and is now on the list. Else
    that is remembered, also of a disabled one: to its flags it is a scheduled one."""
    if n.state != NAPI_IDLE:
        n.missed = True
        return False
    n.state = NAPI_SCHEDULED
    return True


cdef inline void napi_enable(Napi* n, int queue, site_t site) noexcept nogil:
    """napi_enable(): S41, only a disabled context (upstream: BUG_ON)."""
    if unlikely(n.state != NAPI_DISABLED):
        violation(CHECK_S41, site, b"napi", queue, b"NAPI of queue %lld enabled twice", queue, 0, 0)
    n.state = NAPI_IDLE
    ev(b"enable", b"napi", queue, 0, 0, site)


cdef inline bint napi_disable(Napi* n, int queue, bint may_wait, site_t site) noexcept nogil:
    """napi_disable(): waits until the context is not scheduled, then takes it.

    A context that somebody else disabled is waited for: with `may_wait` (that somebody is still
    running) the caller blocks, False; else nobody will ever enable it, S46.
    """
    if n.state == NAPI_DISABLED:
        if may_wait:
            return False
        violation(CHECK_S46, site, b"napi", queue,
                  b"NAPI of queue %lld disabled twice: the second one waits for ever", queue, 0, 0)
    if n.state == NAPI_SCHEDULED:
        # it was completed until nobody had scheduled it meanwhile
        n.missed = False
    n.state = NAPI_DISABLED
    ev(b"disable", b"napi", queue, 0, 0, site)
    return True


cdef inline bint napi_complete_done(Napi* n) noexcept nogil:
    """napi_complete_done(): False in a busy poll, where the poller keeps the context, and where it
    was scheduled meanwhile: it then is so again at once."""
    if n.busy:
        return False
    if n.missed:
        n.missed = False
        return False
    n.state = NAPI_IDLE
    return True
