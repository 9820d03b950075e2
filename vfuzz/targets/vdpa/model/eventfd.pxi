# SPDX-License-Identifier: GPL-2.0-or-later
"""Eventfds: their references, the callbacks that signal them, the interrupt bypass.

fs/eventfd.c and virt/lib/irqbypass.c as far as vhost-vdpa uses them (the bypass: as of 6.1 to 6.15,
where a producer is found by its token; from 6.16 on it keeps the eventfd that it registered). A
context lives while the process' fd table or vhost-vdpa has a reference; the kick side holds the
file, which counts the same.
"""


cdef void eventfd_reset() noexcept nogil:
    """The process has eventfds e0, e1, e2."""
    cdef int e
    memset(E_fds, 0, sizeof(E_fds))
    for e in range(1, EVENTFDS + 1):
        E_fds[e].open = True
        E_fds[e].refs = 1
    memset(&C_config, 0, sizeof(C_config))
    memset(C_vqs, 0, sizeof(C_vqs))


cdef int eventfd_ctx_fdget(int fd) noexcept nogil:
    """The eventfd with a reference more; -EBADF, -EINVAL. FD_NONE is for the caller to see."""
    if fd == FD_NOT_EVENTFD:
        return -EINVAL
    if fd == FD_CLOSED or not E_fds[fd].open:
        return -EBADF
    E_fds[fd].refs += 1
    ev(b"get", b"eventfd", fd, E_fds[fd].refs, 0, b"eventfd_ctx_fdget:get")
    return fd


cdef void eventfd_ctx_put(int e, site_t site) noexcept nogil:
    """V45: there is a reference to drop."""
    if unlikely(e <= 0 or E_fds[e].refs <= 0):
        violation(CHECK_V45, site, b"eventfd", e, b"a reference to eventfd %lld is dropped that "
                  b"nobody has", e, 0, 0)
    E_fds[e].refs -= 1
    ev(b"put", b"eventfd", e, E_fds[e].refs, 0, site)
    judge_eventfd_put(e)


cdef void eventfd_signal(int e, site_t site) noexcept nogil:
    """Count up and wake who polls: a queue with this eventfd as its kick. V45: it is there."""
    cdef uint32_t i
    if unlikely(e <= 0 or E_fds[e].refs <= 0):
        violation(CHECK_V45, site, b"eventfd", e, b"eventfd %lld is signalled, but is an error or "
                  b"was freed", e, 0, 0)
    E_fds[e].signals += 1
    ev(b"signal", b"eventfd", e, E_fds[e].signals, 0, site)
    if v.vqs == 0:
        return      # uncovered: what is signalled behind the close is gone by then, V45
    for i in range(v.nvqs):
        if v_vqs[i].kick == e:
            handle_vq_kick(i)


# ---- callbacks of the parent ----

cdef inline void handle_vq_kick(uint32_t q) noexcept nogil:
    """vhost-vdpa has no worker: whoever wakes the poll runs it."""
    ops_kick_vq(q)


cdef void vhost_vdpa_virtqueue_cb(uint32_t q) noexcept nogil:
    """The parent's callback of queue q, from its first load to the signal."""
    if v_vqs[q].call_ctx:
        eventfd_signal(v_vqs[q].call_ctx, b"vhost_vdpa_virtqueue_cb:signal")


cdef int config_cb_begin() noexcept nogil:
    """The parent's config callback is called; -ENOENT if it has none."""
    if not ops_config_cb():
        return -ENOENT
    if C_config.running:
        return -EBUSY
    # 62be4e3e5f5f: the context was loaded without a lock
    if not (era_6_12() and not era_7_0()) or quirk(QUIRK_A23):
        C_config.running = True
        C_config.ctx = v.config_ctx
        return 0
    lock(L_CONFIG, b"vhost_vdpa_config_cb:lock")
    if v.config_ctx:
        eventfd_signal(v.config_ctx, b"vhost_vdpa_config_cb:signal")
    unlock(L_CONFIG, b"vhost_vdpa_config_cb:unlock")
    return 0


cdef void config_cb_end() noexcept nogil:
    C_config.running = False
    judge_callback_end(-1, C_config.ctx)
    if C_config.ctx:
        eventfd_signal(C_config.ctx, b"vhost_vdpa_config_cb:signal")


cdef int vq_cb_begin(uint32_t q) noexcept nogil:
    """The parent's callback of queue q is called, and has loaded its eventfd."""
    if not ops_vq_cb(q):
        return -ENOENT
    if C_vqs[q].running:
        return -EBUSY
    C_vqs[q].running = True
    C_vqs[q].ctx = v_vqs[q].call_ctx
    return 0


cdef void vq_cb_end(uint32_t q) noexcept nogil:
    C_vqs[q].running = False
    judge_callback_end(<int>q, C_vqs[q].ctx)
    if C_vqs[q].ctx:
        eventfd_signal(C_vqs[q].ctx, b"vhost_vdpa_virtqueue_cb:signal")


cdef void callbacks_finish() noexcept nogil:
    """A reset waits for callbacks: the simulator's by its mutex, vp_vdpa's by free_irq()."""
    cdef uint32_t i
    if C_config.running:
        config_cb_end()
    for i in range(NVQS_MAX):
        if C_vqs[i].running:
            vq_cb_end(i)


# ---- interrupt bypass ----

cdef int irq_bypass_register_producer(uint32_t q) noexcept nogil:
    """0, -EINVAL without a token, -EBUSY if another producer has it."""
    cdef uint32_t i
    if v_vqs[q].token == 0:
        return -EINVAL
    for i in range(v.nvqs):
        if v_vqs[i].producer and v_vqs[i].token == v_vqs[q].token:
            if era_7_0():
                v_vqs[q].token = 0
            return -EBUSY
    v_vqs[q].producer = True
    return 0


cdef void irq_bypass_unregister_producer(uint32_t q) noexcept nogil:
    """Whatever producer has the token, this one is unlinked. V45: it was registered."""
    cdef uint32_t i
    # 6.16: a producer that is not registered has no eventfd
    if v_vqs[q].token == 0 or (era_7_0() and not v_vqs[q].producer):
        return
    for i in range(v.nvqs):
        if v_vqs[i].producer and v_vqs[i].token == v_vqs[q].token:
            if unlikely(not v_vqs[q].producer):
                violation(CHECK_V45, b"irq_bypass_unregister_producer:not_registered", b"queue", q,
                          b"the producer of queue %lld is unlinked, but that of queue %lld is "
                          b"registered with its token %lld", q, i, v_vqs[q].token)
            v_vqs[q].producer = False
            if era_7_0():
                v_vqs[q].token = 0
            break


cdef void vhost_vdpa_setup_vq_irq(uint32_t q) noexcept nogil:
    cdef int irq
    if not vdpa.has_vq_irq:
        return
    irq = ops_get_vq_irq(q)
    if irq < 0:
        return
    # 02e9e9366fef: the token was changed here, when the old eventfd was gone
    if quirk(QUIRK_A20):
        irq_bypass_unregister_producer(q)
    if v_vqs[q].call_ctx == 0:
        return
    # 6.16: the eventfd is an argument, no longer a field
    if quirk(QUIRK_A20) or era_7_0():
        v_vqs[q].token = v_vqs[q].call_ctx
    # it works without
    irq_bypass_register_producer(q)


cdef inline void vhost_vdpa_unsetup_vq_irq(uint32_t q) noexcept nogil:
    irq_bypass_unregister_producer(q)
