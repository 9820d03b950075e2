# SPDX-License-Identifier: GPL-2.0-or-later
"""Every structure of the target, its limits, eras, locks and kernel objects.

The names are upstream's: struct vhost_vdpa, vhost_vdpa_as, vhost_iotlb, vdpasim. Where a field is
a pointer upstream it is an index here, 0 for NULL. All storage is static; what a program touched is
reset before the next.
"""
from libc.errno cimport (E2BIG, EAGAIN, EBADF, EBUSY, EEXIST, EFAULT, EINVAL, EIO, ELOOP, ENODEV,
                         ENOBUFS, ENOENT, ENOMEM, ENOSPC, ENOTTY, EOPNOTSUPP, EPERM, EPROTO)

cdef extern from *:
    """
    #define U64_MAX (~(uint64_t)0)
    #define UAREA_BASE ((uint64_t)0x7f0000000000)   /* user address of page 0 of the area */
    #define KERNEL_BASE ((uint64_t)0xffff888000000000)
    #define DOORBELL_PFN ((uint64_t)0xfe000)        /* of the device's registers, not memory */
    #define PFN_BASE ((uint64_t)0x100000)           /* pfn of frame 0: 4 GiB */
    #define COHERENT_PFN ((uint64_t)0x200000)       /* of the kernel's memory that daemons map */
    """
    uint64_t U64_MAX
    uint64_t UAREA_BASE
    uint64_t KERNEL_BASE
    uint64_t DOORBELL_PFN
    uint64_t PFN_BASE
    uint64_t COHERENT_PFN

cdef enum:
    PAGE_SHIFT = 12
    PAGE_SIZE = 4096
    PAGE_MASK_LOW = 4095

    # limits: where the process could not see one coming, reaching it is no verdict: give_up()
    UAREA_PAGES = 4096          # user memory of the process
    FILES = 4
    FILE_PAGES = 5120
    FRAMES_MAX = 16384          # physical pages in one program
    BYTES_MAX = 256             # contents of physical pages; 0 is none
    MAPS_MAX = 8192             # struct vhost_iotlb_map of all tables
    TABLE_MAX = 4096            # of one table
    AS_MAX = 128                # struct vhost_vdpa_as, never used again in a program
    MAP_FILES_MAX = 4096        # struct vdpa_map_file
    OBJS_MAX = 1024             # other kernel objects, never used again either
    NAS_MAX = 8
    NVQS_MAX = 3
    BUCKETS = 16                # VHOST_VDPA_IOTLB_BUCKETS
    COPIES_MAX = 65_536         # mappings that set_map() copies in one program
    PAGE_LIST = 512             # pages that one pin_user_pages() of vhost_vdpa_pa_map() takes
    IOTLB_NO_LIMIT = 1 << 20
    IOTLB_ENTRIES = 2048        # default of both module parameters max_iotlb_entries

    VHOST_ACCESS_RO = 1
    VHOST_ACCESS_WO = 2
    VHOST_ACCESS_RW = 3

    VHOST_IOTLB_MISS = 1        # types of struct vhost_iotlb_msg
    VHOST_IOTLB_UPDATE = 2
    VHOST_IOTLB_INVALIDATE = 3
    VHOST_IOTLB_ACCESS_FAIL = 4
    VHOST_IOTLB_BATCH_BEGIN = 5
    VHOST_IOTLB_BATCH_END = 6
    VHOST_IOTLB_MSG = 1         # types of message
    VHOST_IOTLB_MSG_V2 = 2
    SIZEOF_VHOST_MSG = 72       # both formats
    SIZEOF_IOTLB_MSG = 32

    VHOST_BACKEND_F_IOTLB_MSG_V2 = 1
    VHOST_BACKEND_F_IOTLB_BATCH = 2
    VHOST_BACKEND_F_IOTLB_ASID = 3
    VHOST_BACKEND_F_SUSPEND = 4
    VHOST_BACKEND_F_RESUME = 5
    VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK = 6
    VHOST_BACKEND_F_DESC_ASID = 7
    VHOST_BACKEND_F_IOTLB_PERSIST = 8
    VHOST_VDPA_BACKEND_FEATURES = 1 << 1 | 1 << 2 | 1 << 3

    VIRTIO_BLK_F_SIZE_MAX = 1
    VIRTIO_BLK_F_SEG_MAX = 2
    VIRTIO_BLK_F_BLK_SIZE = 6
    VIRTIO_BLK_F_FLUSH = 9
    VIRTIO_BLK_F_TOPOLOGY = 10
    VIRTIO_BLK_F_MQ = 12
    VIRTIO_BLK_F_DISCARD = 13
    VIRTIO_BLK_F_WRITE_ZEROES = 14
    VIRTIO_NET_F_MTU = 3
    VIRTIO_NET_F_MAC = 5
    VIRTIO_NET_F_STATUS = 16
    VIRTIO_NET_F_CTRL_VQ = 17
    VIRTIO_NET_F_CTRL_MAC_ADDR = 23
    VIRTIO_F_ANY_LAYOUT = 27
    VIRTIO_RING_F_INDIRECT_DESC = 28
    VIRTIO_RING_F_EVENT_IDX = 29
    VIRTIO_F_VERSION_1 = 32
    VIRTIO_F_ACCESS_PLATFORM = 33
    VIRTIO_F_RING_PACKED = 34
    VIRTIO_ID_NET = 1
    VIRTIO_ID_BLOCK = 2

    ENOTSUPP = 524              # not for user space, but it gets there
    ENOIOCTLCMD = 515           # user space gets ENOTTY
    CONFIG_MAX = 96             # bytes of config space
    NET_CONFIG_SIZE = 24        # struct virtio_net_config
    NET_CONFIG_STATUS = 6
    NET_CONFIG_MTU = 10
    VIRTIO_NET_S_LINK_UP = 1
    QUEUE_NUM_MAX = 256         # of the simulator and of vp_vdpa
    EVENTFDS = 3                # of the process
    FD_NONE = 0                 # VHOST_FILE_UNBIND; 1..EVENTFDS: an eventfd
    FD_CLOSED = 4
    FD_NOT_EVENTFD = 5
    ERR_PTR = -1                # an error as pointer

    VIRTIO_CONFIG_S_DRIVER_OK = 4
    VIRTIO_CONFIG_S_FEATURES_OK = 8

    VDPA_RESET_F_CLEAN_MAP = 1

    VHOST_IOTLB_FLAG_RETIRE = 1

    # parents, as boot option `parent` numbers them
    PARENT_SIM = 0              # vdpasim_batch_config_ops: set_map
    PARENT_SIM_DMA = 1          # vdpasim_config_ops: dma_map, dma_unmap
    PARENT_IOMMU = 2            # vp_vdpa_ops: neither, the platform's IOMMU maps
    PARENT_VDUSE = 3            # vduse_vdpa_config_ops: set_map, user addresses

    # whose mapping a struct vdpa_map_file belongs to
    MAP_FILE_VHOST = 0
    MAP_FILE_DOMAIN = 1         # of VDUSE
    MAP_FILE_OWN = 2            # of VDUSE too, and the file is the domain's own
    MAP_FILE_OWNERS = 3

    # VDUSE: types of request, results, and what our arenas hold
    VDUSE_GET_VQ_STATE = 0
    VDUSE_SET_STATUS = 1
    VDUSE_UPDATE_IOTLB = 2
    VDUSE_SET_VQ_GROUP_ASID = 3
    VDUSE_REQ_RESULT_OK = 0
    VDUSE_REQ_RESULT_FAILED = 1
    VDUSE_DEVS = 2              # 0 is vhost-vdpa's, 1 has a driver of the kernel
    VDUSE_VQS = 2
    VDUSE_MSGS = 8              # requests that wait at a time
    VDUSE_CONFIG_SIZE = 24      # that the daemon gives its devices
    VDUSE_NUM_MAX = 256         # of their rings
    VDUSE_BOUNCE_MAPS = 8       # pages that a program bounces
    VDUSE_COHERENT_PAGES = 8    # behind the bounce pages, that a program can name
    VDUSE_BOUNCE_PAGES = 16_384     # VDUSE_BOUNCE_SIZE
    VDUSE_MIN_BOUNCE_PAGES = 256    # VDUSE_MIN_BOUNCE_SIZE
    GROUPS_MAX = 4

    # lists of a struct vduse_dev_msg
    MSG_ON_NONE = 0
    MSG_ON_SEND = 1
    MSG_ON_RECV = 2

    # locks: bits of L_held
    L_NONE = 0
    L_DEV = 1                   # vhost_dev.mutex
    L_SIM = 2                   # vdpasim.mutex (6.1: .lock)
    L_IOMMU = 4                 # vdpasim.iommu_lock
    L_CONFIG = 8                # vhost_vdpa.config_lock (6.12)
    L_MSG = 16                  # vduse_dev.msg_lock
    L_VDUSE = 32                # vduse_lock
    L_VQ = 64                   # vhost_virtqueue.mutex
    L_DISK = 128                # shared_buffer_mutex of vdpa_sim_blk (6.4)

    # kernel objects by lifetime, and kind
    O_CALL = 0                  # gone when the call returns
    O_OPEN = 1                  # gone after the last close
    O_DEVICE = 2                # gone when the device is
    O_COHERENT = 3              # gone when a driver of the kernel frees it
    N_LIFETIMES = 4

cdef struct Obj:                # something that kmalloc() gave
    const char* kind
    uint8_t lifetime            # O_*
    uint8_t live

cdef struct Vma:                # struct vm_area_struct, as find_vma() of ours gives it
    uint64_t start
    uint64_t end
    int file
    uint32_t pgoff
    uint8_t shared              # a file, MAP_SHARED

cdef struct MapFile:            # struct vdpa_map_file
    uint64_t offset
    int file
    int32_t next                # of the freed ones
    uint8_t owner               # MAP_FILE_*
    uint8_t live

cdef struct MapFiles:
    int n                       # used so far; record 0 is NULL
    int32_t free                # chain of freed ones
    int refs[MAP_FILE_OWNERS][FILES]    # by owner: references to each file

cdef struct Map:                # struct vhost_iotlb_map
    uint64_t start
    uint64_t last
    uint64_t size
    uint64_t addr
    uint32_t perm
    int32_t opaque              # struct vdpa_map_file, 0 none
    int32_t prev                # in the table's list, by age; 0 ends
    int32_t next
    uint8_t live

cdef struct Iotlb:              # struct vhost_iotlb: the interval tree is an array by start
    uint32_t limit
    uint32_t nmaps
    uint32_t flags
    int32_t head                # oldest
    int32_t tail
    uint32_t lock               # L_*: what must be held to touch it
    uint8_t disjoint            # no overlap was ever inserted: ends are sorted too
    uint8_t dirty               # changed since the judge looked
    # what makes a copy of it cheap, see iotlb_copy_begin()
    const Iotlb* copy_of
    uint32_t copies             # made of this table; of a copy: how many there were with it
    int same                    # leading entries of tree that are as with the last copy
    int n                       # entries of tree
    int32_t tree[TABLE_MAX]

cdef struct VhostVdpaAs:        # struct vhost_vdpa_as
    uint32_t id
    uint8_t live
    int32_t next                # in its bucket, 0 ends
    Iotlb iotlb

cdef struct VhostVirtqueue:     # struct vhost_virtqueue
    uint32_t num
    uint64_t desc
    uint64_t avail
    uint64_t used
    uint64_t log_addr
    uint8_t log_used
    uint16_t last_avail_idx
    uint16_t last_used_idx
    uint64_t acked_features
    uint64_t acked_backend_features
    int kick                    # eventfd, 0 none
    int call_ctx
    int error_ctx
    int token                   # call_ctx.producer.token
    int indirect                # vectors that vhost-vdpa never uses: object
    uint8_t producer            # registered with the interrupt bypass
    uint8_t handler             # handle_kick is set: struct initialised by open

cdef struct VhostVdpa:          # struct vhost_vdpa with its struct vhost_dev
    uint8_t opened
    int mm                      # vdev.mm: process + 1, 0 no owner
    int obj                     # struct vhost_vdpa itself, and its queues: objects
    int vq_array
    int minor
    uint8_t removing            # the device goes when the node is closed
    int umem                    # vdev.umem
    int vqs                     # vdev.vqs: object, 0 NULL
    uint32_t nvqs
    int32_t hash[BUCKETS]       # as[]: first address space of each bucket
    int config_ctx              # eventfd, 0 none
    uint8_t in_batch
    uint32_t batch_asid
    uint64_t first              # range
    uint64_t last
    int domain                  # object, 0 NULL
    uint8_t suspended
    uint16_t vq_num_max

cdef struct Vdpa:               # struct vdpa_device and what its parent offers
    uint8_t exists
    int parent                  # PARENT_*
    uint32_t ngroups
    uint32_t nas
    uint32_t nvqs
    uint8_t use_va
    uint8_t features_valid
    # which of struct vdpa_config_ops there are; the judge reads them too: they are no bug
    uint8_t has_set_map
    uint8_t has_dma_map
    uint8_t has_reset_map
    uint8_t has_suspend
    uint8_t has_resume
    uint8_t has_desc_group
    uint8_t has_groups
    uint8_t has_iova_range
    uint8_t has_bind_mm
    uint8_t keeps_maps          # a reset is not an order to forget mappings
    uint8_t has_vq_state        # get_vq_state() gives one, set_vq_state() takes any
    uint8_t has_vq_size
    uint8_t has_vq_irq
    uint8_t has_config_irq
    uint8_t has_doorbell        # get_vq_notification()
    uint32_t doorbell_size
    # which ioctls this kernel knows
    uint8_t has_resume_ioctl
    uint8_t has_desc_group_ioctl
    uint8_t has_vring_size_ioctl
    uint32_t group_of[NVQS_MAX]     # get_vq_group()
    uint32_t device_id
    uint32_t config_size
    uint32_t vq_num_max
    uint64_t device_features
    uint32_t backend_features   # get_backend_features()
    uint64_t first              # get_iova_range()
    uint64_t last

cdef struct VdpaSim:            # struct vdpasim
    uint8_t status
    uint8_t running
    uint32_t generation
    uint64_t features
    uint8_t config[CONFIG_MAX]
    uint32_t limit              # max_iotlb_entries
    int mm_bound                # process + 1 whose addresses the device uses, 0 none (6.4)
    int copies                  # mappings that set_map() has copied, see COPIES_MAX
    uint8_t iommu_pt[NAS_MAX]   # the table is still the identity map (6.3)
    # of quirks that were mlx5's
    int rebind[NVQS_MAX]        # asid + 1 that waits for a mapping
    uint8_t gone[NAS_MAX]       # the table was destroyed
    uint32_t initialized        # asid + 1 of the table that was set

cdef struct VqState:            # struct vdpa_vq_state, a union: what is meant, says the ring
    uint16_t avail              # split: avail_index; packed: counter in bit 0, index above
    uint16_t used               # packed: likewise
    uint8_t used_set            # get_vq_state(): the parent wrote it

cdef struct VduseMsg:           # struct vduse_dev_msg, on the stack of who waits for it
    uint8_t live
    uint8_t on                  # MSG_ON_*
    uint8_t thread              # a thread of the kernel waits, not the caller
    uint8_t completed
    uint8_t result
    uint8_t type
    uint8_t status              # of VDUSE_SET_STATUS
    uint32_t request_id

cdef struct VduseQueue:         # struct vduse_virtqueue
    uint16_t num_max
    uint32_t num
    uint64_t desc_addr
    uint64_t driver_addr
    uint64_t device_addr
    VqState state
    uint8_t ready
    uint8_t kicked
    uint8_t cb                  # a callback is set
    int trigger                 # cb.trigger: eventfd, 0 none
    uint8_t kickfd              # the daemon gave an eventfd
    uint32_t kicks              # signals of it

cdef struct VduseBounce:        # struct vduse_bounce_map of one page
    uint8_t used                # orig_phys is set
    uint8_t page                # bounce_page is there
    uint8_t known[512]          # bits: bytes of it that somebody wrote

cdef struct VduseCoherent:      # what dma_alloc_coherent() gave a driver, at its first page
    int obj                     # the memory: object, 0 there is none
    uint32_t size               # bytes that were asked for

cdef struct VduseDev:           # struct vduse_dev
    int obj                     # itself: an object, 0 there is none
    int vdev                    # the vdpa device: object
    uint8_t connected
    uint8_t broken
    uint8_t status
    uint8_t config_cb
    uint64_t driver_features
    uint32_t generation
    uint32_t config_size
    uint8_t config[VDUSE_CONFIG_SIZE]
    uint32_t msg_unique
    int n_send
    int n_recv
    int send_list[VDUSE_MSGS]
    int recv_list[VDUSE_MSGS]
    VduseMsg msgs[VDUSE_MSGS]
    VduseQueue vqs[VDUSE_VQS]
    uint32_t group_as[GROUPS_MAX]   # vq_groups[].as, as its id (API 1)
    uint8_t bounce_map
    uint32_t bounce_pages       # bounce_size, which a daemon may make smaller from 6.4 on
    int umem                    # struct vduse_umem: object, 0 none; its pages are V_umem_pages
    VduseBounce bounce[VDUSE_BOUNCE_MAPS]


cdef struct VpVring:            # struct vp_vring and the device's queue behind it
    uint8_t cb                  # a callback is set
    int irq                     # + 1, 0 VIRTIO_MSI_NO_VECTOR
    uint8_t enable
    uint32_t size
    uint64_t desc
    uint64_t driver
    uint64_t device
    uint32_t kicks

cdef struct VpVdpa:             # struct vp_vdpa and the virtio-pci device behind it
    uint8_t status
    uint64_t features
    uint8_t config_cb
    uint8_t config_irq
    int vectors
    uint8_t config[CONFIG_MAX]
    VpVring vring[NVQS_MAX]

cdef struct Eventfd:            # struct eventfd_ctx with its file
    uint8_t open                # in the process' fd table
    int refs                    # of that table, queues, callbacks
    uint32_t signals

cdef struct Callback:           # one that has loaded its context and did not signal it yet
    uint8_t running
    int ctx

cdef struct IoctlArg:           # what the argument of an ioctl points at, for all of them
    uint8_t null                # it points nowhere
    uint32_t index              # struct vhost_vring_state, _addr, _file: index
    uint32_t num                # vhost_vring_state: num; vhost_vdpa_config: off
    uint32_t len                # vhost_vdpa_config: len
    uint64_t desc               # vhost_vring_addr; also features, and what a get gives
    uint64_t avail
    uint64_t used
    uint32_t flags              # vhost_vring_addr: flags; vhost_vdpa_config: bytes count from it
    int fd                      # FD_* or an eventfd

cdef struct VhostIotlbMsg:      # struct vhost_iotlb_msg
    uint64_t iova
    uint64_t size
    uint64_t uaddr
    uint8_t perm
    uint8_t type

cdef struct Upage:              # one page of user memory
    uint16_t frame              # + 1, 0 not mapped
    uint8_t kind                # MMAP_KIND_*, valid if mapped
    uint8_t readonly
    uint8_t file
    uint8_t doorbell            # queue index + 1: no memory, but a doorbell of the device
    uint16_t pgoff

cdef struct Frame:              # one physical page
    uint16_t mapcount           # user pages and files that have it
    uint16_t pins               # of vhost-vdpa
    uint16_t wo                 # judge: accepted mappings that let the device write it
    uint8_t dirty
    uint8_t bytes               # content, 0: all zero

cdef struct Mm:                 # the process
    int64_t pinned_vm           # pages
    uint64_t rlimit             # RLIMIT_MEMLOCK, pages
    uint64_t foreign            # pages that others pinned
    int who                     # which process calls: 0 parent, 1 child
    int64_t pins                # pins that vhost-vdpa holds, all frames
    int n_doorbells             # mapped in this program, unmapped ones included
    int n_frames
    int n_bytes
    int lo                      # touched part of the area
    int hi
    int file_hi[FILES]          # touched part of each file

cdef struct Objs:
    int n                       # object 0 is NULL
    int live[N_LIFETIMES]

cdef Objs O
cdef Obj O_objs[OBJS_MAX]
cdef uint32_t L_held
cdef MapFiles M
cdef MapFile M_files[MAP_FILES_MAX]
cdef Map I_maps[MAPS_MAX]
cdef int I_n_maps               # used so far; map 0 is NULL
cdef int32_t I_free_maps        # chain of freed ones through next
cdef VhostVdpaAs A_as[AS_MAX]
cdef int A_n_as                 # address space 0 is NULL
cdef bint A_changed             # one came or went since the judge looked
cdef VhostVdpa v
cdef VhostVirtqueue v_vqs[NVQS_MAX]
cdef Vdpa vdpa
cdef VdpaSim vdpasim
cdef VduseDev V_devs[VDUSE_DEVS]
cdef int V_daemon               # DAEMON_MODE_*
cdef int32_t V_umem_pages[UAREA_PAGES]  # of device 1: only a driver of the kernel bounces
cdef VduseCoherent V_coherent[VDUSE_COHERENT_PAGES]     # of device 1, by page
cdef uint8_t V_coherent_known[VDUSE_COHERENT_PAGES][512]    # bits: bytes that somebody wrote
cdef Iotlb V_domain             # of device 1: what its driver maps, see vdpasim_iommu
cdef Iotlb vdpasim_iommu[NAS_MAX]   # VDUSE: of struct vduse_iova_domain
cdef VpVdpa vp_vdpa
cdef Iotlb iommu_domain         # what v.domain maps
cdef Eventfd E_fds[EVENTFDS + 1]    # eventfd 0 is NULL
cdef Callback C_config
cdef Callback C_vqs[NVQS_MAX]
cdef Mm mm
cdef Upage mm_pages[UAREA_PAGES]
cdef uint16_t mm_files[FILES][FILE_PAGES]   # frame + 1, 0 none
cdef Frame mm_frames[FRAMES_MAX]
cdef uint8_t mm_bytes[BYTES_MAX][PAGE_SIZE]


# ---- eras ----

cdef inline bint era_6_12() noexcept nogil:
    """6.12.117 and later: what came between 6.2 and 6.12, and that stable line's backports."""
    return W.era >= ERA_LINUX_6_12


cdef inline bint era_7_0() noexcept nogil:
    """7.0 as released: without what the stable lines of 6.1 and 6.12 took from later ones."""
    return W.era >= ERA_LINUX_7_0


# ---- address spaces ----

cdef inline void A_changed_set(bint changed) noexcept nogil:
    global A_changed
    A_changed = changed


# ---- locks ----

cdef inline void lock(uint32_t l, site_t site) noexcept nogil:
    """mutex_lock() or spin_lock() of lock `l` (L_*). V44: not by its holder."""
    if unlikely((L_held & l) != 0):
        violation(CHECK_V44, site, b"lock", l, b"lock %lld is taken twice", l, 0, 0)
    global_held_set(L_held | l)


cdef inline void unlock(uint32_t l, site_t site) noexcept nogil:
    if unlikely((L_held & l) == 0):
        violation(CHECK_V44, site, b"lock", l, b"lock %lld is released, but not held", l, 0, 0)
    global_held_set(L_held & ~l)


cdef inline void global_held_set(uint32_t held) noexcept nogil:
    global L_held
    L_held = held


cdef inline void lockdep_assert_held(uint32_t l, site_t site) noexcept nogil:
    """V44: shared state is touched under lock `l`; L_NONE: not shared yet."""
    if unlikely((L_held & l) != l):
        violation(CHECK_V44, site, b"lock", l, b"lock %lld is not held", l, 0, 0)


# ---- kernel objects ----

cdef int kmalloc(const char* kind, int lifetime, site_t site) noexcept nogil:
    """kmalloc() and the like: a new object, or 0. A fault site (alloc)."""
    cdef int o
    if fault(FAULT_ALLOC, site):
        return 0
    if unlikely(O.n >= OBJS_MAX):
        give_up()
    o = O.n
    O.n += 1
    O_objs[o].kind = kind
    O_objs[o].lifetime = <uint8_t>lifetime
    O_objs[o].live = True
    O.live[lifetime] += 1
    ev(b"alloc", kind, o, lifetime, 0, site)
    return o


cdef inline void check_obj(int o, site_t site) noexcept nogil:
    """V16: object o is there."""
    if unlikely(not O_objs[o].live):
        violation(CHECK_V16, site, O_objs[o].kind, o,
                  b"object %lld is used, but is NULL or was freed", o, 0, 0)


cdef void kfree(int o, site_t site) noexcept nogil:
    """kfree(); of NULL nothing. V16: not twice."""
    if o == 0:
        return
    check_obj(o, site)
    O_objs[o].live = False
    O.live[O_objs[o].lifetime] -= 1
    ev(b"free", O_objs[o].kind, o, 0, 0, site)


cdef void state_reset() noexcept nogil:
    """Everything as at power on; cost proportional to what the last program touched."""
    global L_held, I_n_maps, I_free_maps, A_n_as
    O.n = 1
    O_objs[0].kind = b"object"
    memset(O.live, 0, sizeof(O.live))
    L_held = 0
    memset(&M, 0, sizeof(M))
    M.n = 1
    I_n_maps = 1
    I_free_maps = 0
    A_n_as = 1
    A_changed_set(True)
    memset(&vdpa, 0, sizeof(vdpa))
    memset(&v, 0, sizeof(v))
    eventfd_reset()
