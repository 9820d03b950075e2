# SPDX-License-Identifier: GPL-2.0-or-later
"""Structures of rings and of the simulated network device behind them."""

cdef enum:
    KIOV_MAX = 1024             # segments of one chain; more is no verdict
    VDPASIM_QUEUE_MAX = 256
    IOTLB_IOV_STRIDE = 16       # fragments that one translation gives
    SIM_BUFFER = 4096
    SIM_CONFIG = 24             # struct virtio_net_config

    VRING_DESC_F_NEXT = 1
    VRING_DESC_F_WRITE = 2
    VRING_DESC_F_INDIRECT = 4
    VRING_AVAIL_F_NO_INTERRUPT = 1

    NET_BIT_MTU = 3             # feature bits
    NET_BIT_MAC = 5
    NET_BIT_STATUS = 16
    NET_BIT_CTRL_VQ = 17
    NET_BIT_CTRL_MAC_ADDR = 23
    BIT_ANY_LAYOUT = 27
    BIT_EVENT_IDX = 29
    BIT_VERSION_1 = 32
    BIT_ACCESS_PLATFORM = 33

    NET_CTRL_MAC = 1            # class and command of the control queue
    NET_CTRL_MAC_ADDR_SET = 1
    NET_OK = 0
    NET_ERR = 1

cdef struct Vring:
    uint32_t num
    uint64_t desc
    uint64_t avail
    uint64_t used

cdef struct Vringh:             # struct vringh
    uint8_t event_indices
    uint8_t use_va
    uint16_t last_avail_idx
    uint16_t last_used_idx
    uint32_t completed
    Vring vring
    int iotlb                   # asid of its table
    uint32_t lock               # L_*

cdef struct Kvec:
    uint64_t base
    uint64_t len

cdef struct Kiov:               # struct vringh_kiov
    uint32_t i
    uint32_t used
    uint64_t consumed
    uint32_t max_num
    int obj                     # the kmalloc'ed array, 0 none
    Kvec iov[KIOV_MAX]

cdef struct VringDesc:
    uint64_t addr
    uint32_t len
    uint16_t flags
    uint16_t next

cdef struct Fragment:           # struct bio_vec, or struct iovec with use_va
    uint64_t addr
    uint64_t len

cdef struct VdpasimVirtqueue:
    Vringh vring
    Kiov in_iov
    Kiov out_iov
    uint16_t head
    uint8_t ready
    uint64_t desc_addr
    uint64_t device_addr
    uint64_t driver_addr
    uint32_t num
    int cb                      # context of the callback, 0 none

cdef struct VdpasimNet:         # the rest of struct vdpasim, and struct vdpasim_net
    uint64_t supported
    uint8_t config[SIM_CONFIG]
    uint8_t work_pending
    uint8_t pending_kick
    uint8_t mm_bound            # 6.4: user addresses
    uint8_t buffer[SIM_BUFFER]
    uint32_t buffer_valid       # bytes of it that were ever written
    int rebind[2]               # quirk B09: group -> asid + 1 that waits for a mapping

cdef VdpasimVirtqueue sim_vqs[NVQS_MAX]
cdef VdpasimNet sim
cdef site_t R_run_site          # the running work function: a hang names it
cdef uint16_t mm_byte_hi[BYTES_MAX]     # bytes of each content that were touched
