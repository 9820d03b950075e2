# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: E101 - C text is indented as the kernel's is
"""A program as C for a real /dev/vhost-vdpa-N: the same calls, messages and memory, without vfuzz.

An op is one entry of CALLS: the C expression that does it. Its words are the op's arguments and
what `words` makes of them. RUNTIME has what such expressions call, in paragraphs; a program gets
those that it needs, found by their names. What no system call can do is in CANNOT, with the reason.
The guest's ops are in repro_rings.py; the daemon's and devices that come and go in repro_vduse.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vfuzz.errors import UsageError
from vfuzz.targets.vdpa import repro_rings, repro_vduse
from vfuzz.targets.vdpa.ops import (
    BOOT,
    FDS,
    FEATURES,
    GETS,
    PARENTS,
    RING_OPS,
    SCHEMA,
    VDUSE_OPS,
)  # fmt: skip

if TYPE_CHECKING:
    from vfuzz.api import Call, Program, Result

__all__ = ["CALLS", "CANNOT", "to_c"]

U64 = (1 << 64) - 1
PAGE = 4096
AREA = 0x7F0000000000
KERNEL = 0xFFFF888000000000
NODE_FD = 100

#: An op as C. {name}: an argument, or a word of words(); what it returns is 0, a count or -errno.
CALLS = {
    "mmap": "map({upage}, {npages}, {shared}, {readonly}, {physical}, {file}, {pgoff})",
    "munmap": "unmap({upage}, {npages})",
    "rlimit": "limit({pages_here})",
    "task": "0",
    "open": "node_open()",
    "close": "node_close()",
    "set_owner": "node_ioctl(VHOST_SET_OWNER, NULL)",
    "set_backend_features": "set_u64(VHOST_SET_BACKEND_FEATURES, {bits:#x})",
    "set_status": "set_u8(VHOST_VDPA_SET_STATUS, {bits:#x})",
    "update": "message(72, {format}, {asid}, 2, {iova:#x}, {size:#x}, {user}, {perm})",
    "invalidate": "message(72, {format}, {asid}, 3, {iova:#x}, {size:#x}, 0, 0)",
    "batch_begin": "message(72, {format}, {asid}, 5, 0, {size:#x}, 0, 0)",
    "batch_end": "message(72, {format}, {asid}, 6, 0, {size:#x}, 0, 0)",
    "write": "message({length}, {raw_format}, {asid}, {type}, {iova:#x}, {size:#x}, "
             "{same_user}, 3)",
    "get": "get({get}, {get_size})",
    "set_features": "set_u64(VHOST_SET_FEATURES, {virtio:#x})",
    "get_config": "config(VHOST_VDPA_GET_CONFIG, {off}, {len}, 0)",
    "set_config": "config(VHOST_VDPA_SET_CONFIG, {off}, {len}, {value})",
    "suspend": "node_ioctl(VHOST_VDPA_SUSPEND, NULL)",
    "resume": "node_ioctl(VHOST_VDPA_RESUME, NULL)",
    "vring_num": "vring_state(VHOST_SET_VRING_NUM, {index}, {num})",
    "vring_addr": "vring_addr({index}, {flags}, {desc:#x}, {avail:#x}, {used:#x})",
    "vring_base": "vring_state(VHOST_SET_VRING_BASE, {index}, {num})",
    "get_vring_base": "vring_state(VHOST_GET_VRING_BASE, {index}, 0)",
    "vring_enable": "vring_state(VHOST_VDPA_SET_VRING_ENABLE, {index}, {num})",
    "vring_fd": "vring_state(VHOST_SET_VRING_{which_name}, {index}, (uint32_t){fd})",
    "config_call": "set_fd(VHOST_VDPA_SET_CONFIG_CALL, {fd})",
    "get_vring": "vring_state(VHOST_VDPA_GET_VRING_{what_name}, {index}, 0)",
    "set_group_asid": "vring_state(VHOST_VDPA_SET_GROUP_ASID, {group}, {asid})",
    "ioctl": "odd_ioctl({nr}, {null}, {index})",
    "close_fd": "outcome_of(close(EVENTFD + {fd}))",
    "mmap_doorbell": "map_doorbell({pgoff}, {npages}, {private}, {readable}, {upage})",
    "ring_doorbell": "ring_doorbell({upage})",
    **repro_rings.CALLS,
    **repro_vduse.CALLS,
}  # fmt: skip

_INSIDE = "it is a moment inside of the kernel, at which no system call can stop it"

#: Ops that no call of a process can do, and why.
CANNOT = {
    "irq_begin": f"the device calls back when it likes; {_INSIDE}",
    "irq_end": f"the device calls back when it likes; {_INSIDE}",
    **repro_vduse.CANNOT,
}

_NODES = "the program does not know which PCI device it is; use the `vdpa` command"

#: Ops that every process does: each has its own memory, limits and doorbells.
BY_ALL = ("mmap", "munmap", "rlimit", "mmap_doorbell", "close")

_GETS = {
    "STATUS": ("VHOST_VDPA_GET_STATUS", 1),
    "FEATURES": ("VHOST_GET_FEATURES", 8),
    "VRING_NUM": ("VHOST_VDPA_GET_VRING_NUM", 2),
    "IOVA_RANGE": ("VHOST_VDPA_GET_IOVA_RANGE", 16),
    "BACKEND_FEATURES": ("VHOST_GET_BACKEND_FEATURES", 8),
}
_FEATURE_BITS = {
    "MTU": 3, "MAC": 5, "STATUS": 16, "CTRL_VQ": 17, "CTRL_MAC_ADDR": 23, "INDIRECT_DESC": 28,
    "EVENT_IDX": 29, "VERSION_1": 32, "ACCESS_PLATFORM": 33, "RING_PACKED": 34, "UNKNOWN": 63,
}  # fmt: skip
_ODD = {
    "RESET_OWNER": "0xaf02", "SET_MEM_TABLE": "0x4008af03", "SET_LOG_BASE": "0x4008af04",
    "SET_LOG_FD": "0x4004af07", "GET_VRING_ENDIAN": "0x4008af14",
    "SET_VRING_BUSYLOOP": "0x4008af23", "UNKNOWN": "0xaff0",
}  # fmt: skip
_FD_NUMBERS = {"none": "-1", "closed": "CLOSED", "not_eventfd": "NOT_EVENTFD"}
_RANGES = {"all": (0, U64), "window": (0x1000, 0xFFFF), "no_zero": (0x1000, U64)}
_MEMLOCK = {"plenty": 65536, "few": 16, "medium": 600, "zero": 0}
_ENTRIES = {"many": 2048, "eight": 8, "three": 3, "two": 2, "one": 1, "zero": 0}
_DISK_TYPES = (0, 1, 4, 8, 11, 13, 99)
_PATTERNS = ("CONTIGUOUS", "SCATTERED", "PAIRS", "REVERSED")
_MACS = {"zero": 0, "plain": 0x525401020304, "short": 0x020000000001}
_MAC_NAMES = next(arg.names for arg in BOOT if arg.name == "mac")
#: Observables that the C tells by the same names.
_TOLD = frozenset((
    "value", "last", "num", "idx", "id", "len", "ack", "capability", "features", "desc", "driver",
    "device", "ready", "status", "data",
))  # fmt: skip
_ARGS = {op.name: op.args for op in SCHEMA.ops}
_RING_NAMES = frozenset(op.name for op in RING_OPS)
_VDUSE_NAMES = frozenset(op.name for op in VDUSE_OPS)
#: The guest's own ops, which any memory can take; `work` is the device's.
_GUEST_NAMES = _RING_NAMES - {"work"}

_NODE_RUNTIME = r"""
#define AREA 0x7f0000000000UL /* user memory: page 0 of the area */
#define AREA_PAGES 4096UL

#define PAGE 4096UL

#define NODE 100 /* the device node's file descriptor, in every process */

#define EVENTFD 101 /* 101, 102, 103 */

#define FILES 104 /* 104 .. 107: shared memory */

#define NOT_EVENTFD 108

#define CLOSED 109

#define CONTIGUOUS 0

#define SCATTERED 1

#define PAIRS 2

#define REVERSED 3

#define VHOST_GET_FEATURES 0x8008af00UL

#define VHOST_SET_FEATURES 0x4008af00UL

#define VHOST_SET_OWNER 0xaf01UL

#define VHOST_SET_VRING_NUM 0x4008af10UL

#define VHOST_SET_VRING_ADDR 0x4028af11UL

#define VHOST_SET_VRING_BASE 0x4008af12UL

#define VHOST_GET_VRING_BASE 0xc008af12UL

#define VHOST_SET_VRING_KICK 0x4008af20UL

#define VHOST_SET_VRING_CALL 0x4008af21UL

#define VHOST_SET_VRING_ERR 0x4008af22UL

#define VHOST_SET_BACKEND_FEATURES 0x4008af25UL

#define VHOST_GET_BACKEND_FEATURES 0x8008af26UL

#define VHOST_VDPA_GET_DEVICE_ID 0x8004af70UL

#define VHOST_VDPA_GET_STATUS 0x8001af71UL

#define VHOST_VDPA_SET_STATUS 0x4001af72UL

#define VHOST_VDPA_GET_CONFIG 0x8008af73UL

#define VHOST_VDPA_SET_CONFIG 0x4008af74UL

#define VHOST_VDPA_SET_VRING_ENABLE 0x4008af75UL

#define VHOST_VDPA_GET_VRING_NUM 0x8002af76UL

#define VHOST_VDPA_SET_CONFIG_CALL 0x4004af77UL

#define VHOST_VDPA_GET_IOVA_RANGE 0x8010af78UL

#define VHOST_VDPA_GET_CONFIG_SIZE 0x8004af79UL

#define VHOST_VDPA_GET_AS_NUM 0x8004af7aUL

#define VHOST_VDPA_GET_VRING_GROUP 0xc008af7bUL

#define VHOST_VDPA_SET_GROUP_ASID 0x4008af7cUL

#define VHOST_VDPA_SUSPEND 0xaf7dUL

#define VHOST_VDPA_RESUME 0xaf7eUL

#define VHOST_VDPA_GET_VRING_DESC_GROUP 0xc008af7fUL

#define VHOST_VDPA_GET_VQS_COUNT 0x8004af80UL

#define VHOST_VDPA_GET_GROUP_NUM 0x8004af81UL

#define VHOST_VDPA_GET_VRING_SIZE 0xc008af82UL

/* What a call gave: 0, a count or -errno; and what else it told. */
struct outcome {
	long ret;
	char more[152];
};

static struct outcome now;

/* What else is seen, by name. */
static void tell(const char *name, long long value)
{
	size_t used = strlen(now.more);
	snprintf(now.more + used, sizeof(now.more) - used, value < 0 ? "%s%s=%lld" : "%s%s=%#llx",
		 used ? " " : "", name, value);
}

static const char *path;

static long outcome_of(long ret)
{
	return ret == -1 ? -errno : ret;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "repro: %s: %s\n", what, strerror(errno));
	exit(2);
}

static long node_open(void)
{
	int fd = open(path, O_RDWR);
	if (fd < 0)
		return -errno;
	if (dup2(fd, NODE) < 0)
		die("dup2");
	close(fd);
	return 0;
}

static unsigned char doorbells[AREA_PAGES];

/* A doorbell that is mapped keeps the node open. */
static void unmap_doorbells(void)
{
	unsigned long i;
	for (i = 0; i < AREA_PAGES; i++)
		if (doorbells[i])
			munmap((void *)(AREA + i * PAGE), PAGE);
	memset(doorbells, 0, sizeof(doorbells));
}

static long node_close(void)
{
	return outcome_of(close(NODE));
}

static long node_ioctl(unsigned long request, void *arg)
{
	return outcome_of(ioctl(NODE, request, arg));
}

static long set_u64(unsigned long request, uint64_t value)
{
	return node_ioctl(request, &value);
}

static long set_u8(unsigned long request, uint8_t value)
{
	return node_ioctl(request, &value);
}

static long set_fd(unsigned long request, int32_t fd)
{
	return node_ioctl(request, &fd);
}

/* An ioctl that reports a value of `size` bytes; 16 are two values. */
static long get(unsigned long request, int size)
{
	uint64_t value[2] = { 0, 0 };
	long ret = node_ioctl(request, value);
	if (ret == 0)
		tell("value", (long long)value[0]);
	if (ret == 0 && size == 16)
		tell("last", (long long)value[1]);
	return ret;
}

static long vring_state(unsigned long request, uint32_t index, uint32_t num)
{
	uint32_t state[2] = { index, num };
	long ret = node_ioctl(request, state);
	if (ret == 0 && request >> 30 == 3)
		tell("num", state[1]);
	return ret;
}

static long vring_addr(uint32_t index, uint32_t flags, uint64_t desc, uint64_t avail, uint64_t used)
{
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr = { index, flags, desc, used, avail, 0 };
	return node_ioctl(VHOST_SET_VRING_ADDR, &addr);
}

/* The bytes that are set are value, value + 1, ... */
static long config(unsigned long request, uint32_t off, uint32_t len, uint8_t value)
{
	struct {
		uint32_t off, len;
		uint8_t bytes[4096];
	} arg = { off, len, { 0 } };
	uint32_t i;
	long ret;
	for (i = 0; i < sizeof(arg.bytes); i++)
		arg.bytes[i] = (uint8_t)(value + i);
	ret = node_ioctl(request, &arg);
	for (i = 0; ret == 0 && i < len && i < 24; i++)
		snprintf(now.more + 3 * i, sizeof(now.more) - 3 * i, " %02x", arg.bytes[i]);
	return ret;
}

/* An ioctl without meaning here, with a zeroed argument or none. */
static long odd_ioctl(unsigned long request, int null, uint32_t index)
{
	uint32_t arg[64] = { 0 };
	if (request != 0x4008af03 && request != 0x4008af04 && request != 0x4004af07)
		arg[0] = index;
	return node_ioctl(request, null ? NULL : arg);
}

/* write(2) of an IOTLB message; struct vhost_msg has the same layout, but no asid. */
static long message(uint32_t length, uint32_t format, uint32_t asid, uint8_t type, uint64_t iova,
		    uint64_t size, uint64_t uaddr, uint8_t perm)
{
	uint8_t bytes[256] = { 0 };
	memcpy(bytes, &format, 4);
	memcpy(bytes + 4, &asid, 4);
	memcpy(bytes + 8, &iova, 8);
	memcpy(bytes + 16, &size, 8);
	memcpy(bytes + 24, &uaddr, 8);
	bytes[32] = perm;
	bytes[33] = type;
	return outcome_of(write(NODE, bytes, length));
}

/* RLIMIT_MEMLOCK, which counts for root too. */
static long limit(unsigned long pages)
{
	struct rlimit old, new = { pages * PAGE, pages * PAGE };
	if (getrlimit(RLIMIT_MEMLOCK, &old))
		return -errno;
	if (old.rlim_max > new.rlim_max)
		new.rlim_max = old.rlim_max;
	return outcome_of(setrlimit(RLIMIT_MEMLOCK, &new));
}

static long unmap(unsigned long upage, unsigned long npages)
{
	if (npages == 0 || upage + npages > AREA_PAGES)
		return -EINVAL;
	return outcome_of(munmap((void *)(AREA + upage * PAGE), npages * PAGE));
}

struct page {
	uint64_t pfn;
	char *at;
};

static int by_pfn(const void *a, const void *b)
{
	const struct page *x = a, *y = b;
	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

static uint64_t pfn_of(int pagemap, const char *at)
{
	uint64_t entry = 0;
	if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)at / PAGE * 8)) != 8)
		return 0;
	return entry & ((1ULL << 55) - 1);
}

/*
 * Puts n pages of a pool at `to` so that those which `order` wants beside each other are so
 * physically, and no others. Needs to see page frame numbers (root); without, says so.
 */
static void place(char *to, struct page *pool, unsigned long pages, unsigned long n, int order)
{
	unsigned long group = order == SCATTERED ? 1 : order == PAIRS ? 2 : n;
	unsigned long done = 0, i = 1, k, m, at;
	while (done < n && i + group <= pages && pool[0].pfn) {
		m = group < n - done ? group : n - done;
		for (k = 1; k < m && pool[i + k].pfn == pool[i].pfn + k; k++)
			;
		if (k < m || (!pool[i - 1].at && pool[i].pfn == pool[i - 1].pfn + 1)) {
			i += 1;
			continue;
		}
		for (k = 0; k < m; k++, done++) {
			at = order == REVERSED ? n - 1 - done : done;
			if (mremap(pool[i + k].at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				   to + at * PAGE) == MAP_FAILED)
				die("mremap");
			pool[i + k].at = NULL;
		}
		i += m;
	}
	if (done < n)
		snprintf(now.more, sizeof(now.more), "physical order is chance");
	for (i = 0; i < pages && done < n; i++)
		if (pool[i].at) {
			if (mremap(pool[i].at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				   to + done++ * PAGE) == MAP_FAILED)
				die("mremap");
			pool[i].at = NULL;
		}
}

/* Anonymous memory, present and in the physical order that is asked for. */
static long map_anonymous(char *to, unsigned long n, int readonly, int order)
{
	unsigned long pages = (2 * n / 512 + 2) * 512, size = (pages + 512) * PAGE, i;
	struct page *pool = calloc(pages, sizeof(*pool));
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	char *all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *start = (char *)(((uintptr_t)all + 512 * PAGE - 1) & ~(uintptr_t)(512 * PAGE - 1));
	if (!pool || all == MAP_FAILED)
		die("memory");
	madvise(start, pages * PAGE, MADV_HUGEPAGE);
	for (i = 0; i < pages; i++) {
		start[i * PAGE] = 0;
		pool[i].at = start + i * PAGE;
		pool[i].pfn = pagemap < 0 ? 0 : pfn_of(pagemap, pool[i].at);
	}
	qsort(pool, pages, sizeof(*pool), by_pfn);
	place(to, pool, pages, n, order);
	munmap(all, size);
	if (pagemap >= 0)
		close(pagemap);
	free(pool);
	return outcome_of(mprotect(to, n * PAGE, readonly ? PROT_READ : PROT_READ | PROT_WRITE));
}

static long map(unsigned long upage, unsigned long npages, int shared, int readonly, int order,
		int file, unsigned long pgoff)
{
	char *to = (char *)(AREA + upage * PAGE);
	if (npages == 0 || upage + npages > AREA_PAGES)
		return -EINVAL;
	if (!shared)
		return map_anonymous(to, npages, readonly, order);
	if (mmap(to, npages * PAGE, readonly ? PROT_READ : PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED | MAP_POPULATE, FILES + file, (off_t)(pgoff * PAGE)) ==
	    MAP_FAILED)
		return -errno;
	return 0;
}

static long map_doorbell(uint32_t pgoff, unsigned long npages, int private, int readable,
			 unsigned long upage)
{
	char *to = (char *)(AREA + upage * PAGE);
	if (npages == 0 || upage + npages > AREA_PAGES)
		return -EINVAL;
	if (mmap(to, npages * PAGE, readable ? PROT_READ | PROT_WRITE : PROT_WRITE,
		 (private ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED, NODE, (off_t)pgoff * 4096) ==
	    MAP_FAILED)
		return -errno;
	doorbells[upage] = 1;
	return 0;
}

static sigjmp_buf fault;

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

static long ring_doorbell(unsigned long upage)
{
	if (!doorbells[upage])
		return -EFAULT;
	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	if (sigsetjmp(fault, 1))
		return -EFAULT;
	*(volatile uint32_t *)(AREA + upage * PAGE) = 0;
	return 0;
}
"""

RUNTIME = "\n\n".join(
    part.strip() for part in (_NODE_RUNTIME, repro_rings.RUNTIME, repro_vduse.RUNTIME)
)

MAIN = r"""
static const struct {
	const char *text;
	int who; /* the process that does it: 0, or 1 its child */
	int all; /* the other one does it too: its memory, its limits */
	long model; /* what the model returns */
	const char *told; /* and what it tells */
} steps[] = {
@STEPS@
};

static long step(int n)
{
	switch (n) {
@CASES@
	}
	return 0;
}

static struct outcome perform(int n)
{
	memset(&now, 0, sizeof(now));
	now.ret = step(n);
	return now;
}
@CHILD@
static void prepare(void)
{
	int i, fd;
	if (mmap((void *)AREA, AREA_PAGES * PAGE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)AREA)
		die("the area is in use, run again");
	munmap((void *)AREA, AREA_PAGES * PAGE);
	for (i = 0; i < 8; i++) {
		if (i < 3)
			fd = eventfd(0, EFD_NONBLOCK);
		else if (i < 7)
			fd = memfd_create("repro", 0);
		else
			fd = open("/dev/null", O_RDWR);
		if (fd < 0 || dup2(fd, EVENTFD + i) < 0)
			die("files");
		close(fd);
		if (i >= 3 && i < 7 && ftruncate(EVENTFD + i, 8192 * (off_t)PAGE))
			die("ftruncate");
	}
}

static void pinned(const char *when)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, "VmPin:", 6))
			printf("%s: %s", when, line);
	if (status)
		fclose(status);
}

int main(int argc, char **argv)
{
	int n, differ = 0;
	if (argc != 2) {
		fprintf(stderr, "usage: %s /dev/vhost-vdpa-N\n", argv[0]);
		return 2;
	}
	path = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	prepare();@START@
	for (n = 0; n < (int)(sizeof(steps) / sizeof(steps[0])); n++) {
		struct outcome got = @ASK@;
		printf("%-60s %ld", steps[n].text, got.ret);
		if (got.ret < 0)
			printf(" (%s)", strerror((int)-got.ret));
		if (got.more[0])
			printf("  %s", got.more);
		if (steps[n].model != LONG_MIN && steps[n].model != got.ret) {
			printf("  DIFFERS: the model returns %ld", steps[n].model);
			differ++;
		} else if (steps[n].told && strcmp(steps[n].told, got.more)) {
			printf("  DIFFERS: the model tells %s", steps[n].told);
			differ++;
		}
		printf("\n");
	}
	pinned("before the last close");
	close(NODE);
	usleep(100000);
	pinned("after it");
	printf("%d differ\n", differ);@END@
	return differ ? 1 : 0;
}
"""

CHILD = r"""
static int to_child[2], from_child[2];

/* A child with memory of its own, which shares every file descriptor, also of files to come. */
static void start_child(void)
{
	int n;
	long pid;
	if (pipe(to_child) || pipe(from_child))
		die("pipe");
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		die("clone");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (pid == 0) {
		if (read(to_child[0], &n, sizeof(n)) != sizeof(n))
			_exit(0);
		perform(n);
		if (write(from_child[1], &now, sizeof(now)) != sizeof(now))
			_exit(1);
	}
}

static struct outcome child_performs(int n)
{
	struct outcome got;
	if (write(to_child[1], &n, sizeof(n)) != sizeof(n) ||
	    read(from_child[0], &got, sizeof(got)) != sizeof(got))
		die("the child is gone");
	return got;
}

/* The step's own process first; its answer counts. */
static struct outcome ask(int n)
{
	struct outcome got = steps[n].who ? child_performs(n) : perform(n);
	if (steps[n].all && steps[n].who)
		perform(n);
	else if (steps[n].all)
		child_performs(n);
	return got;
}
"""

HEADERS = (
    "errno.h", "fcntl.h", "limits.h", "sched.h", "setjmp.h", "signal.h", "stdint.h", "stdio.h",
    "stdlib.h", "string.h", "sys/eventfd.h", "sys/ioctl.h", "sys/mman.h", "sys/prctl.h",
    "sys/resource.h", "sys/syscall.h", "unistd.h",
)  # fmt: skip
#: Headers that only programs with these names need.
MORE_HEADERS = {
    "generic_netlink": ("linux/genetlink.h", "linux/netlink.h", "sys/socket.h"),
    "start_daemon": ("poll.h", "pthread.h"),
}


# ---- the words of an op --------------------------------------------------------------------------


def _names(values: Mapping[str, int], args: tuple[Any, ...]) -> dict[str, str]:
    """The names of the enum arguments: {arg: name}."""
    return {arg.name: arg.names[values[arg.name]] for arg in args if arg.kind == "enum"}


def _address(page: int, off: int, at: str, span: tuple[int, int]) -> int:
    plain = page * PAGE + off
    first, last = span
    where = {
        "low": plain, "top": U64 - plain, "middle": (1 << 63) + plain, "first": first + plain,
        "last": last - plain,
    }  # fmt: skip
    return where[at] & U64


def _user(address: int) -> str:
    """A user address as C: what lies in the area counts from there."""
    inside = AREA <= address < AREA + (1 << 32)
    return f"AREA + {address - AREA:#x}" if inside else f"{address:#x}"


def _size(iova: int, plain: int, span: str) -> int:
    sizes = {
        "plain": plain, "zero": 0, "to_end": U64 - iova + 1, "all": U64,
        "over_4g": (1 << 32) + plain,
    }  # fmt: skip
    return sizes[span] & U64


def _features(bits: int, names: Iterable[str] = FEATURES) -> int:
    return sum(1 << _FEATURE_BITS[said] for i, said in enumerate(names) if bits >> i & 1)


def has_rings(boot: Mapping[str, int]) -> bool:
    """Does the device work on rings? A simulator's does."""
    return PARENTS[boot["parent"]] in ("sim", "sim_dma")


def _daemon_words(
    name: str, args: Mapping[str, int], names: Mapping[str, str], found: Mapping[str, Any],
    boot: Mapping[str, int],
) -> dict[str, Any]:  # fmt: skip
    """What CALLS of repro_vduse.py name."""
    if name == "dev_add":
        comes = f"device_comes({found['own_mac']:#x}, {_features(boot['features']):#x})"
        return {"comes": comes if has_rings(boot) else "daemon_comes()"}
    more: dict[str, Any] = {}
    if name == "umem":
        more["request"] = f"VDUSE_IOTLB_{names['what']}_UMEM"
    if name in ("bounce", "coherent"):
        text = repro_vduse.BEHIND if name == "coherent" else "{at:#x}"
        more["page_at"] = text.format(dev=1, at=args["page"] * PAGE)
    if name in ("vduse_ioctl", "vduse_file"):
        text = repro_vduse.BEHIND if args.get("behind") else "{at:#x}"
        last = (found["iova"] + args.get("len", 0) - 1) & U64
        more["start"] = text.format(dev=args["dev"], at=found["iova"])
        more["last"] = text.format(dev=args["dev"], at=last)
        more["byte"] = args.get("index", 0) & 0xFF
        more["space"] = args.get("asid", 0) if boot["vduse_api"] else 0
        call = repro_vduse.WHAT_CALLS[names["what"]]
        more["what_call"] = call.format_map({**found, **more})
    return more


def words(
    name: str, args: Mapping[str, int], boot: Mapping[str, int], node_range: tuple[int, int]
) -> dict[str, Any]:
    """What an entry of CALLS can name: the arguments of an op, and what they come to."""
    names = _names(args, _ARGS[name])
    found: dict[str, Any] = {**args, **{f"{arg}_name": said for arg, said in names.items()}}
    off, at = args.get("off", 0), names.get("at", "low")
    found["iova"] = _address(args.get("page", 0), off, at, node_range)
    for ring in ("desc", "avail", "used"):
        found[ring] = _address(args.get(ring, 0), off, at, node_range)
    found["same"] = AREA + args.get("page", 0) * PAGE
    plain = args.get("npages", 0) * PAGE + args.get("bytes", 0)
    found["size"] = _size(found["iova"], plain, names.get("span", "plain"))
    user = args.get("upage", 0) * PAGE + args.get("uoff", 0)
    bases = {"area": AREA + user, "zero": user, "kernel": KERNEL + user, "top": U64 - user}
    found["uaddr"] = bases[names.get("uat", "area")]
    found["user"], found["same_user"] = _user(found["uaddr"]), _user(found["same"])
    found["format"] = 2 - args.get("version", 0)
    found["raw_format"] = args.get("format", 0)
    found["shared"] = int(names.get("kind") == "shared")
    found["physical"] = _PATTERNS[args.get("pattern", 0)]
    found["pages_here"] = max(0, args.get("pages", 0) - boot["foreign"])
    found["own_mac"] = _MACS[_MAC_NAMES[boot["mac"]]]
    found["work"] = "wait_for_rest()" if has_rings(boot) else "-ENODEV"
    if name in _VDUSE_NAMES or name == "dev_add":
        found.update(_daemon_words(name, args, names, found, boot))
    if name == "get":
        what = GETS[args["what"]]
        found["get"], found["get_size"] = _GETS.get(what, (f"VHOST_VDPA_GET_{what}", 4))
    if name in ("set_features", "bring_up"):
        bits = [*FEATURES, "UNKNOWN"]
        found["virtio"] = _features(args["bits"], bits)
    if name == "bring_up" and has_rings(boot) and boot["device"]:
        found["virtio"] &= ~_features((1 << 5) - 1)  # a driver of disks asks for nothing of nets
    if name == "blk":
        found["disk_type"] = _DISK_TYPES[args["type"]]
    if name in ("vring_fd", "config_call"):
        said = FDS[args["fd"]]
        found["fd"] = _FD_NUMBERS.get(said, f"EVENTFD + {said[1:]}")
    if name == "ioctl":
        found["nr"] = _ODD[names["nr"]]
    return found


# ---- the program ---------------------------------------------------------------------------------


def _paragraphs(runtime: str) -> dict[str, str]:
    """Its paragraphs by each name that they define."""
    found = {}
    pattern = re.compile(
        r"^#define (\w+)|^struct (\w+) \{|^static [^(=;]*?\b(\w+)\("
        r"|^static [^(=]*?\b(\w+)(?:\[.*\])?(?: = .*)?;",
        re.MULTILINE,
    )
    for part in runtime.split("\n\n"):
        for names in pattern.findall(part):
            found[next(filter(None, names))] = part
    return found


def _needed(code: str, constants: str) -> list[str]:
    """The paragraphs that `code` needs, and those that they do: constants, then RUNTIME's."""
    by_name = _paragraphs(f"{constants}\n\n{RUNTIME}")
    wanted: set[str] = set()
    left = [code]
    while left:
        said = re.sub(r'/\*.*?\*/|"[^"\n]*"', "", left.pop(), flags=re.DOTALL)
        for name in set(re.findall(r"\b[a-zA-Z_]\w*\b", said)):
            part = by_name.get(name)
            if part is not None and part not in wanted:
                wanted.add(part)
                left.append(part)
    return [part for part in dict.fromkeys(by_name.values()) if part in wanted]


def _joined(parts: list[str]) -> str:
    """Paragraphs, those of one line beside each other."""
    text = ""
    for before, part in zip(["", *parts], parts, strict=False):
        text += "\n" if before.startswith("#define") and part.startswith("#define") else "\n\n"
        text += part
    return text.lstrip("\n") + "\n\n"


def _comment(text: str) -> str:
    return text.replace("*/", "* /")


def _set_up(boot: Mapping[str, int]) -> list[str]:
    """What the boot record says of the machine, as shell lines and remarks."""
    said = _names(boot, BOOT)
    use_va = boot.get("use_va", 0)
    lines = [f"modprobe vhost_vdpa max_iotlb_entries={_ENTRIES[said['entries']]}"]
    bind = [
        "echo {0} > /sys/bus/vdpa/drivers/virtio_vdpa/unbind    # if that took it",
        "echo vhost_vdpa > /sys/bus/vdpa/devices/{0}/driver_override",
        "echo {0} > /sys/bus/vdpa/drivers/vhost_vdpa/bind",
    ]
    if has_rings(boot):
        mac, features = _MACS[said["mac"]], _features(boot["features"])
        lines += [
            f"modprobe vdpa_sim batch_mapping={int(said['parent'] == 'sim')}"
            f" max_iotlb_entries={_ENTRIES[said['sim_entries']]}"
            f" use_va={use_va}    # no use_va before 6.4",
            "modprobe vdpa_sim_net" if said["device"] == "net" else
            f"modprobe vdpa_sim_blk shared_backend={int(said['device'] == 'blk_shared')}"
            "    # no shared_backend before 6.4",
            f"vdpa dev add name vfuzz0 mgmtdev vdpasim_{said['device'][:3]}"
            + (f" mac {mac.to_bytes(6).hex(':')}" if mac else "")
            + (f" device_features {features:#x}" if features else ""),
            *(line.format("vfuzz0") for line in bind),
        ]
        if said["device"] != "net":
            lines.append("# a disk of vdpa_sim has one group and one address space")
        elif (boot["ngroups"], boot["nas"]) != (2, 2):
            lines.append(
                f"# {boot['ngroups']} groups and {boot['nas']} address spaces: vdpa_sim has 2 and"
                " 2, results will differ"
            )
        if said["range"] != "all":
            first, last = _RANGES[said["range"]]
            lines.append(f"# a device with IOVA range {first:#x} to {last:#x}: not vdpa_sim's")
    elif said["parent"] == "vduse":
        lines += [
            f"modprobe vduse max_iotlb_entries={_ENTRIES[said['sim_entries']]}"
            "    # no such option before 6.5",
            "modprobe virtio_vdpa    # for a driver of the kernel",
            "# this program is the daemon: it makes vfuzz0 and vfuzz1 itself, and binds vfuzz0",
        ]
    else:
        lines.append(f"# a device whose parent is as boot option parent={said['parent']} says")
        lines += [line.format("DEVICE") for line in bind]
    if boot["foreign"]:
        lines.append(
            f"# others pinned {boot['foreign']} pages in this process: limits are so much lower"
        )
    return lines


def _boot_steps(boot: Mapping[str, int]) -> list[tuple[str, str]]:
    """The process as boot leaves it: (text, C)."""
    said = _names(boot, BOOT)
    pages = max(0, _MEMLOCK[said["memlock"]] - boot["foreign"])
    steps = [(f"(RLIMIT_MEMLOCK is {pages} pages)", f"limit({pages})")]
    if said["memory"] != "none":
        order = "SCATTERED" if said["memory"] == "scattered" else "CONTIGUOUS"
        shared = int(said["memory"] == "shared")
        steps.append(
            (f"(64 pages of {said['memory']} memory)", f"map(0, 64, {shared}, 0, {order}, 0, 0)")
        )
    return steps


def _number(value: int) -> str:
    """An observable as `tell` prints it."""
    return f"{value:#x}" if value > 0 else str(value)


def _expected(result: Result | None, program: Program) -> list[tuple[str, str]]:
    """What the model returns and tells for each op, as C; unknown from the first failure that
    fired on."""
    unknown = ("LONG_MIN", "NULL")
    if result is None:
        return [unknown] * len(program)
    seen = {step.op: step.obs for step in result.steps}
    end = result.violation.op if result.violation else len(program)
    values = []
    for i, call in enumerate(program.ops):
        if call.fail is not None:
            end = min(end, i)
        obs = seen.get(i, ())
        ret = dict(obs).get("ret")
        if i >= end or ret is None:
            values.append(unknown)
            continue
        told = " ".join(f"{name}={_number(value)}" for name, value in obs if name in _TOLD)
        values.append((str(ret), f'"{told}"' if told and ret >= 0 else "NULL"))
    return values


def _why_not(op: Call, boot: Mapping[str, int]) -> str | None:
    """Why a C program cannot do this op with this device; None if it can."""
    parent = PARENTS[boot["parent"]]
    if op.name in _VDUSE_NAMES and parent != "vduse":
        return None  # what is not there is refused
    if op.name in ("dev_del", "dev_add") and parent == "iommu":
        return _NODES
    names = _names(op.args, _ARGS[op.name])
    return CANNOT.get(op.name) or repro_vduse.WHAT_CANNOT.get((op.name, names.get("what", "")))


def _keepers(program: Program) -> list[int]:
    """For each op the process in whose memory its rings are: the one that owns the device then,
    or will."""
    keepers: list[int | None] = []
    who, owner = 0, None
    for op in program.ops:
        if op.name == "task":
            who = op.args["who"]
        elif op.name == "close":
            owner = None
        elif op.name in ("set_owner", "bring_up") and owner is None:
            owner = who
        keepers.append(owner)
    following = 0
    for i in reversed(range(len(keepers))):
        following = keepers[i] = following if keepers[i] is None else keepers[i]  # type: ignore
    return keepers  # type: ignore[return-value]


def _constants(boot: Mapping[str, int], era: str | None) -> str:
    """What RUNTIME asks of the boot record."""
    parent = PARENTS[boot["parent"]]
    groups = parent == "vduse" and boot["vduse_api"]
    files_only = parent == "vduse" or (boot["use_va"] and has_rings(boot) and era != "linux-6.1")
    features = _features(boot["features"] or (1 << len(FEATURES)) - 1)
    features |= 1 << _FEATURE_BITS["ACCESS_PLATFORM"]
    mgmtdev = "vdpasim_blk" if boot["device"] else "vdpasim_net"
    mgmtdev = "vduse" if parent == "vduse" else mgmtdev
    return "\n\n".join((
        f'static const char *const parent_device = "{mgmtdev}";',
        f"static const int maps_files_only = {int(files_only)};",
        f"static const int vduse_api = {int(groups)};",
        f"static const uint32_t vduse_groups = {boot['ngroups']};",
        f"static const uint32_t vduse_spaces = {boot['nas']};",
        f"static const uint64_t vduse_features = {features:#x};",
    ))  # fmt: skip


def _code(op: Call, index: int, boot: Mapping[str, int], changed: Mapping[str, str]) -> str:
    """An op as C."""
    if op.name == "daemon" and PARENTS[boot["parent"]] != "vduse":
        return "0"
    if op.name in _VDUSE_NAMES and PARENTS[boot["parent"]] != "vduse":
        return "-ENODEV"
    node_range = _RANGES[_names(boot, BOOT)["range"]]
    known = {**words(op.name, op.args, boot, node_range), "op": index}
    return (changed.get(op.name) or CALLS[op.name]).format_map(known)


def to_c(program: Program, result: Result | None = None, *, leave_out: bool = False) -> str:
    """The program as C.

    result     its result in an era: what is returned there is compared at run time
    leave_out  ops that cannot be expressed become remarks, and nothing is compared behind them

    Raises UsageError naming every op that cannot be expressed, and why.
    """
    boot, ops = program.boot, program.ops
    reasons = {i: why for i, op in enumerate(ops) if (why := _why_not(op, boot))}
    if reasons and not leave_out:
        why = "; ".join(f"op {i}, {ops[i].text}: {said}" for i, said in reasons.items())
        raise UsageError(f"no C program can do this: {why} (--leave-out does without them)")
    names = {op.name for op in ops}
    vduse = PARENTS[boot["parent"]] == "vduse"
    guest, goes = bool(names & _RING_NAMES), "dev_del" in names
    changed = (repro_vduse.NOTICES if goes else {}) | (repro_rings.LEARNS if guest else {})
    doorbells = "mmap_doorbell" in names
    expected, keepers = _expected(result, program), _keepers(program)
    rows, cases, remarks = [], [], list[str]()
    lost = min(reasons, default=len(ops))
    now = 0

    def add(text: str, code: str, who: int, everybody: bool, model: tuple[str, str]) -> None:
        rows.append(f'\t{{ "{text}", {who}, {int(everybody)}, {model[0]}, {model[1]} }},')
        if code != "0":
            cases.append(f"\tcase {len(rows) - 1}:\n\t\treturn {code};")

    for text, code in _boot_steps(boot):
        add(text, code, 0, True, ("0", "NULL"))
    for i, op in enumerate(ops):
        if op.name == "task":
            now = op.args["who"]
        if op.fail is not None:
            remarks.append(f"{op.text}: nothing is made to fail here")
        if i in reasons:
            remarks.append(f"{op.text} is left out: {reasons[i]}")
            continue
        code = _code(op, i, boot, changed)
        if op.name == "close" and doorbells:
            code = f"(unmap_doorbells(), {code})"
        who = keepers[i] if op.name in _GUEST_NAMES else 0 if op.name in _VDUSE_NAMES else now
        known = expected[i] if i < lost else ("LONG_MIN", "NULL")
        add(op.text, code, who, op.name in BY_ALL, known)
    with_child = any(op.name == "task" and op.args["who"] for op in ops)
    start = [
        f"\n\tstart_{what}();"
        for what, wanted in (("guest", guest), ("daemon", vduse), ("child", with_child))
        if wanted
    ]
    main = (
        MAIN.replace("@STEPS@", "\n".join(rows))
        .replace("@CASES@", "\n".join(cases))
        .replace("@CHILD@", CHILD if with_child else "")
        .replace("@START@", "".join(start))
        .replace("@ASK@", "ask(n)" if with_child else "perform(n)")
        .replace("@END@", "\n\tend_daemon();" if vduse else "")
    )
    runtime = _joined(_needed(main, _constants(boot, result.era if result else None)))
    return _head(program, result, remarks, runtime + main) + runtime + main.lstrip("\n")


def _head(program: Program, result: Result | None, remarks: list[str], code: str) -> str:
    lines = [
        "SPDX-License-Identifier: GPL-2.0-or-later",
        "",
        "Made by `vfuzz repro --lang c` from this program of target vdpa:",
        "",
        *(f"    {line}" for line in str(program).splitlines()),
        "",
        "It may crash, hang or corrupt the kernel that it runs on: use a machine made for that.",
        "    cc -Wall -Wextra -pthread -o repro repro.c && ./repro /dev/vhost-vdpa-0    # as root",
        "",
        "A device as the program wants it, on a kernel with VDPA_SIM_NET and VHOST_VDPA:",
        *(f"    {line}" for line in _set_up(program.boot)),
        "",
        "Each step is printed with what it returned: 0, a count of bytes or -errno.",
        "The device works when it likes: what is done between a kick and its work it may see.",
    ]
    if result is not None:
        lines.append(f"The model's results are those of {result.era}.")
        if result.violation is not None:
            lines.append(f"There it finds {result.violation}.")
    lines += remarks
    comment = "".join(f" * {_comment(line)}".rstrip() + "\n" for line in lines)
    more = [name for key, names in MORE_HEADERS.items() if f"{key}(" in code for name in names]
    includes = "".join(f"#include <{header}>\n" for header in sorted([*HEADERS, *more]))
    return f"/*\n{comment} */\n#define _GNU_SOURCE\n{includes}\n"
