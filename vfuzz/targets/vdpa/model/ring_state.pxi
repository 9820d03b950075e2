# SPDX-License-Identifier: GPL-2.0-or-later
"""Structures of rings and of the simulated network device behind them."""

cdef enum:
    KIOV_MAX = 1024             # segments of one chain; more is no verdict
    IOTLB_IOV_STRIDE = 16       # fragments that one translation gives
    SIM_BUFFER = 4096

    VRING_DESC_F_NEXT = 1
    VRING_DESC_F_WRITE = 2
    VRING_DESC_F_INDIRECT = 4
    VRING_AVAIL_F_NO_INTERRUPT = 1

    VQ_RX = 0
    VQ_TX = 1
    VQ_CTRL = 2

    VIRTIO_NET_CTRL_MAC = 1     # class and command of the control queue
    VIRTIO_NET_CTRL_MAC_ADDR_SET = 1
    VIRTIO_NET_OK = 0
    VIRTIO_NET_ERR = 1
    ETH_ALEN = 6

    SECTOR_SHIFT = 9
    BLK_CAPACITY = 0x40000      # VDPASIM_BLK_CAPACITY, sectors
    BLK_SIZE_MAX = 0x1000       # VDPASIM_BLK_SIZE_MAX
    BLK_SEG_MAX = 32            # VDPASIM_BLK_SEG_MAX
    DISK_BLOCKS = 32_768        # of PAGE_SIZE bytes: the whole disk
    DISK_WRITTEN_MAX = 256      # of them that a program writes to
    REQUEST_MAX = 0x40000       # bytes of data of one request; more is no verdict
    VIRTIO_BLK_T_IN = 0
    VIRTIO_BLK_T_OUT = 1
    VIRTIO_BLK_T_FLUSH = 4
    VIRTIO_BLK_T_GET_ID = 8
    VIRTIO_BLK_T_DISCARD = 11
    VIRTIO_BLK_T_WRITE_ZEROES = 13
    VIRTIO_BLK_S_OK = 0
    VIRTIO_BLK_S_IOERR = 1
    VIRTIO_BLK_S_UNSUPP = 2
    VIRTIO_BLK_ID_BYTES = 20
    BLK_HEADER = 16             # struct virtio_blk_outhdr
    BLK_RANGE = 16              # struct virtio_blk_discard_write_zeroes

cdef struct Vring:
    uint32_t num
    uint64_t desc
    uint64_t avail
    uint64_t used

cdef struct Vringh:             # struct vringh
    uint8_t use_va
    uint16_t last_avail_idx
    uint16_t last_used_idx
    uint32_t completed
    Vring vring
    int iotlb                   # address space whose table it has
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
    Kvec[KIOV_MAX] iov

cdef struct VringDesc:
    uint64_t addr
    uint32_t len
    uint16_t flags
    uint16_t next

cdef struct Fragment:           # struct bio_vec, or struct iovec with use_va
    uint64_t addr
    uint64_t len

cdef struct VdpasimVirtqueue:   # struct vdpasim_virtqueue
    Vringh vring
    uint16_t head
    uint8_t ready
    uint8_t cb                  # a callback is set
    uint64_t desc_addr
    uint64_t device_addr
    uint64_t driver_addr
    uint32_t num
    Kiov in_iov
    Kiov out_iov

cdef struct QueueStats:         # struct vdpasim_dataq_stats, vdpasim_cq_stats (6.4)
    uint64_t pkts               # of the control queue: requests
    uint64_t bytes              # successes
    uint64_t drops
    uint64_t errors
    uint64_t overruns

cdef struct VdpasimNet:         # the rest of struct vdpasim, and struct vdpasim_net
    uint8_t work_pending
    uint8_t pending_kick        # 6.3: a kick while suspended
    QueueStats[NVQS_MAX] stats
    uint32_t buffer_hi          # bytes of it that were ever written
    uint8_t[SIM_BUFFER] buffer

cdef struct VdpasimBlk:         # struct vdpasim_blk, or what it has of struct vdpasim (6.1)
    int buffer                  # object, 0 none: shared, or not there
    uint8_t shared_backend
    # the bytes behind it: blocks that were never written are zero
    int n
    uint16_t[DISK_WRITTEN_MAX] block        # which block each of them is
    uint16_t[DISK_BLOCKS] slot              # + 1 of a block, 0 never written
    uint8_t[DISK_WRITTEN_MAX][PAGE_SIZE] data
    uint8_t[REQUEST_MAX] request            # what a request reads or writes, in one piece

cdef VdpasimBlk sim_blk
cdef VdpasimVirtqueue sim_vqs[NVQS_MAX]
cdef VdpasimNet sim_net
cdef site_t R_run_site          # the running work function: a hang names it
cdef uint16_t mm_byte_hi[BYTES_MAX]     # bytes of each content that were touched
