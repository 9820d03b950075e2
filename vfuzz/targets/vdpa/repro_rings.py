# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: E101 - C text is indented as the kernel's is
"""The guest's ops as C: rings, packets and commands in the process' own memory, kicks by eventfd.

What the guest believes (how large its rings are, which eventfd kicks them, which spaces have
mappings) comes from the calls before, so in a program with rings LEARNS has other expressions for
them. The device works when it likes; `rest` waits until it has nothing more to do.
"""

from __future__ import annotations

__all__ = ["CALLS", "LEARNS", "RUNTIME"]

_LAYOUT = "{page}, {off}, {len}"
_HOW = "{pieces}, {indirect}, {then}"

#: An op as C, as in repro.py.
CALLS = {
    "bring_up": "bring_up({order}, {virtio:#x}, {queues}, {base}, {cvq_asid})",
    "send": f"send_packet({{op}}, {_LAYOUT}, {{dst}}, {{own_mac:#x}}, {_HOW})",
    "rx": f"offer_buffers({_LAYOUT}, {{count}}, {_HOW})",
    "cvq": "give_command({page}, {off}, {cls}, {cmd}, {len}, {mac}, {gap}, {ack}, " + _HOW + ")",
    "desc": "put_desc({queue}, {table}, {slot}, {iova:#x}, {len}, {bits}, {next})",
    "avail": "and_then({then}, {queue}, publish({queue}, {head}, {count}))",
    "avail_idx": "and_then({then}, {queue}, put_u16(ring_at({queue}, 1) + 2, {idx}))",
    "avail_flags": "put_u16(ring_at({queue}, 1), {bits})",
    "poke": "poke_memory({page}, {off}, {value:#x}, {width})",
    "kick": "kick_queue({queue})",
    "work": "{work}",
    "used": "look_at_used({queue})",
    "blk": "disk_request({op}, {disk_type}, {sector}, {len}, {page}, {off}, {num}, {flags}, "
           "{shape}, " + _HOW + ")",
}

#: Calls from which the guest learns.
LEARNS = {
    "open": "guest_open()",
    "set_owner": "guest_owner()",
    "set_backend_features": "guest_agrees({bits:#x})",
    "set_status": "guest_status({bits:#x})",
    "set_features": "guest_features({virtio:#x})",
    "update": "guest_message(72, {format}, {asid}, 2, {iova:#x}, {size:#x}, {user}, {perm})",
    "invalidate": "guest_message(72, {format}, {asid}, 3, {iova:#x}, {size:#x}, 0, 0)",
    "write": "guest_message({length}, {raw_format}, {asid}, {type}, {iova:#x}, {size:#x}, "
             "{same_user}, 3)",
    "vring_num": "guest_size({index}, {num})",
    "vring_fd": "guest_fd(VHOST_SET_VRING_{which_name}, {index}, {fd})",
}  # fmt: skip

RUNTIME = r"""
#define KICKER 110 /* 110 .. 112: the eventfds 101 .. 103, for the guest to kick with */

#define SPANS 4096

/* What the guest knows of its device; both processes share it. */
struct guest_state {
	uint64_t features;
	uint32_t num[3]; /* entries of the rings */
	int kicker[3]; /* 0: no eventfd */
	int owned;
	uint64_t agreed; /* backend features */
	uint16_t slot[3]; /* the next descriptor */
	int spans;
	struct {
		uint32_t asid;
		uint64_t start, last;
	} span[SPANS]; /* what is mapped */
};

static struct guest_state *guest;

static void start_guest(void)
{
	int i;
	guest = mmap(NULL, sizeof(*guest), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (guest == MAP_FAILED)
		die("memory");
	for (i = 0; i < 3; i++)
		if (dup2(EVENTFD + i, KICKER + i) < 0)
			die("files");
}

static long guest_open(void)
{
	long ret = node_open();
	if (ret == 0)
		memset(guest, 0, sizeof(*guest));
	return ret;
}

static long guest_owner(void)
{
	long ret = node_ioctl(VHOST_SET_OWNER, NULL);
	guest->owned |= ret == 0;
	return ret;
}

static long guest_agrees(uint64_t bits)
{
	long ret = set_u64(VHOST_SET_BACKEND_FEATURES, bits);
	if (ret == 0)
		guest->agreed = bits;
	return ret;
}

/* A reset forgets the features. */
static long guest_status(uint8_t bits)
{
	long ret = set_u8(VHOST_VDPA_SET_STATUS, bits);
	if (ret == 0 && bits == 0)
		guest->features = 0;
	return ret;
}

static long guest_features(uint64_t bits)
{
	long ret = set_u64(VHOST_SET_FEATURES, bits);
	if (ret == 0)
		guest->features = bits;
	return ret;
}

/* Remembers which spaces have mappings: an INVALIDATE takes whole ones that it touches. */
static long guest_message(uint32_t length, uint32_t format, uint32_t asid, uint8_t type,
			  uint64_t iova, uint64_t size, uint64_t uaddr, uint8_t perm)
{
	int i, kept = 0;
	long ret = message(length, format, asid, type, iova, size, uaddr, perm);
	if (ret != (long)length || length < 40)
		return ret;
	if (format != 2 || !(guest->agreed >> 3 & 1))
		asid = 0;
	if (type == 2 && guest->spans < SPANS) {
		guest->span[guest->spans].asid = asid;
		guest->span[guest->spans].start = iova;
		guest->span[guest->spans++].last = iova + size - 1;
	}
	for (i = 0; type == 3 && i < guest->spans; i++)
		if (guest->span[i].asid != asid || guest->span[i].start > iova + size - 1 ||
		    guest->span[i].last < iova)
			guest->span[kept++] = guest->span[i];
	if (type == 3)
		guest->spans = kept;
	return ret;
}

static long guest_size(uint32_t index, uint32_t num)
{
	long ret = vring_state(VHOST_SET_VRING_NUM, index, num);
	if (ret == 0 && index < 3)
		guest->num[index] = num;
	return ret;
}

static long guest_fd(unsigned long request, uint32_t index, uint32_t fd)
{
	long ret = vring_state(request, index, fd);
	if (ret == 0 && request == VHOST_SET_VRING_KICK && index < 3)
		guest->kicker[index] = (int)fd < 0 ? 0 : (int)fd - EVENTFD + KICKER;
	return ret;
}

/* Can the page be read, or written? The device may write to it meanwhile: nothing is changed. */
static int reachable(char *at, int write)
{
	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	if (sigsetjmp(fault, 1))
		return 0;
	if (write)
		__atomic_fetch_or(at, 0, __ATOMIC_SEQ_CST);
	else
		(void)*(volatile char *)at;
	return 1;
}

/* All n bytes at byte `at` of the area, or none. */
static long guest_access(uint64_t at, uint32_t n, void *bytes, int write)
{
	uint64_t page;
	for (page = at / PAGE; n && page <= (at + n - 1) / PAGE; page++)
		if (page >= AREA_PAGES || doorbells[page] ||
		    !reachable((char *)(AREA + page * PAGE), write))
			return -EFAULT;
	if (write)
		memcpy((void *)(AREA + at), bytes, n);
	else
		memcpy(bytes, (void *)(AREA + at), n);
	return 0;
}

/* Where a queue has its descriptors (0), available ring (1), used ring (2), indirect tables (3). */
static uint64_t ring_at(uint32_t q, uint32_t which)
{
	return (4 * q + which) * PAGE;
}

static uint32_t ring_size(uint32_t q)
{
	return guest->num[q] > 1 && guest->num[q] <= 256 ? guest->num[q] : 16;
}

static long put_u16(uint64_t at, uint16_t value)
{
	__sync_synchronize();
	return guest_access(at, 2, &value, 1);
}

/* A descriptor of the queue's table, or of its page of indirect tables. */
static long put_desc(uint32_t q, int indirect, uint32_t slot, uint64_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc = { addr, len, flags, next };
	return guest_access(ring_at(q, indirect ? 3 : 0) + 16ULL * slot, sizeof(desc), &desc, 1);
}

/* Makes the chain at `head` available, count times. */
static long publish(uint32_t q, uint16_t head, uint32_t count)
{
	uint16_t idx;
	long ret = guest_access(ring_at(q, 1) + 2, 2, &idx, 0);
	while (ret == 0 && count--)
		ret = put_u16(ring_at(q, 1) + 4 + 2 * (idx++ & (ring_size(q) - 1)), head);
	return ret ? ret : put_u16(ring_at(q, 1) + 2, idx);
}

struct chain {
	int n;
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags;
	} piece[52];
};

/* n descriptors of equal size for len bytes; the last has the rest. */
static void cut_pieces(struct chain *p, uint64_t addr, uint32_t len, uint32_t n, uint16_t flags)
{
	uint32_t part = len / n;
	for (; n; n--, addr += part, len -= part) {
		p->piece[p->n].addr = addr;
		p->piece[p->n].len = n > 1 ? part : len;
		p->piece[p->n++].flags = flags;
	}
}

/* Writes the chain, in the queue's table or an indirect one, and makes it available. */
static long offer_chain(uint32_t q, const struct chain *p, int indirect)
{
	uint32_t size = ring_size(q), slot = guest->slot[q], head = slot & (size - 1);
	uint32_t first = indirect ? head * 24 & 127 : 0, i, at, next;
	long ret = 0;
	for (i = 0; ret == 0 && i < (uint32_t)p->n; i++) {
		at = indirect ? first + i : (slot + i) & (size - 1);
		next = i + 1 == (uint32_t)p->n ? 0 : indirect ? i + 1 : (slot + i + 1) & (size - 1);
		ret = put_desc(q, indirect, at, p->piece[i].addr, p->piece[i].len,
			       p->piece[i].flags | (i + 1 < (uint32_t)p->n), next);
	}
	if (ret == 0 && indirect)
		ret = put_desc(q, 0, head, ring_at(q, 3) + 16 * first, 16 * p->n, 4, 0);
	if (ret)
		return ret;
	guest->slot[q] += indirect ? 1 : p->n;
	return publish(q, head, 1);
}

static long kick_queue(uint32_t q)
{
	uint64_t one = 1;
	if (fcntl(NODE, F_GETFD) < 0 || !guest->kicker[q])
		return -ENOENT;
	return write(guest->kicker[q], &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

/* Until no used ring has moved for 20 ms. */
static long wait_for_rest(void)
{
	uint16_t idx, seen[3] = { 0, 0, 0 };
	int still, all, q;
	for (still = all = 0; still < 20 && all < 1000; still++, all++) {
		for (q = 0; q < 3; q++)
			if (guest_access(ring_at(q, 2) + 2, 2, &idx, 0) == 0 && idx != seen[q]) {
				seen[q] = idx;
				still = 0;
			}
		usleep(1000);
	}
	return 0;
}

/* What follows on an offer: a kick and the device's work (0), a kick (1), nothing (2). */
static long and_then(int what, uint32_t q, long ret)
{
	if (ret == 0 && what < 2)
		kick_queue(q);
	if (ret == 0 && what == 0)
		wait_for_rest();
	return ret;
}

/* The device's address; before features are agreed on, asking for it would end that. */
static void own_address(uint8_t *mac, uint64_t at_first)
{
	struct {
		uint32_t off, len;
		uint8_t mac[6];
	} arg = { 0, 6, { 0 } };
	int i;
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)(at_first >> (40 - 8 * i));
	if (guest->features && node_ioctl(VHOST_VDPA_GET_CONFIG, &arg) == 0)
		memcpy(mac, arg.mac, 6);
}

/* To itself (0), broadcast (1), multicast (2), another (3), its address but the last byte (4). */
static long send_packet(int op, uint64_t page, uint32_t off, uint32_t len, int dst,
			uint64_t at_first, uint32_t pieces, int indirect, int what)
{
	static const uint8_t filled[] = { 0, 0xff, 0x11, 0x22, 0 };
	uint8_t packet[4096] = { 0 };
	uint32_t header = guest->features >> 32 & 1 ? 12 : 10, i, n = len < 4096 ? len : 4096;
	struct chain p = { 0 };
	long ret;
	for (i = header + 6; i < n; i++)
		packet[i] = (uint8_t)(op * 16 + i);
	memset(packet + header, filled[dst], 6);
	if (dst == 0 || dst == 4)
		own_address(packet + header, at_first);
	if (dst == 4)
		packet[header + 5] ^= 0xff;
	ret = guest_access(page * PAGE + off, n, packet, 1);
	if (ret)
		return ret;
	cut_pieces(&p, page * PAGE + off, len, pieces, 0);
	return and_then(what, 1, offer_chain(1, &p, indirect));
}

static long offer_buffers(uint64_t page, uint32_t off, uint32_t len, uint32_t count,
			  uint32_t pieces, int indirect, int what)
{
	uint64_t at = page * PAGE + off;
	long ret = 0;
	for (; ret == 0 && count; count--, at += len) {
		struct chain p = { 0 };
		cut_pieces(&p, at, len, pieces, 2);
		ret = offer_chain(0, &p, indirect);
	}
	return and_then(what, 0, ret);
}

/* The byte for the answer: at its place (0), none (1), empty (2), not mapped (3), first (4). */
static long give_command(uint64_t page, uint32_t off, uint8_t cls, uint8_t cmd, uint32_t len,
		    uint8_t mac, int gap, int ack, uint32_t pieces, int indirect, int what)
{
	uint64_t at = page * PAGE + off, nowhere = AREA_PAGES * PAGE;
	uint8_t raw[2 + 64 + 1] = { cls, cmd };
	uint32_t here = gap ? len / 2 : len, i;
	struct chain p = { 0 };
	long ret;
	for (i = 0; i < len; i++)
		raw[2 + i] = (uint8_t)(mac * (i + 1));
	raw[2 + len] = 0x5a; /* nobody answered yet */
	ret = guest_access(at, 2 + len + 1, raw, 1);
	if (ret)
		return ret;
	if (ack == 4)
		cut_pieces(&p, at + 2 + len, 1, 1, 2);
	cut_pieces(&p, at, 2 + here, pieces, 0);
	if (gap)
		cut_pieces(&p, nowhere, len - here, 1, 0);
	if (ack == 0 || ack == 2)
		cut_pieces(&p, at + 2 + len, ack == 0, 1, 2);
	else if (ack == 3)
		cut_pieces(&p, nowhere, 1, 1, 2);
	ret = and_then(what, 2, offer_chain(2, &p, indirect));
	if (ret == 0 && guest_access(at + 2 + len, 1, raw, 0) == 0)
		tell("ack", raw[0]);
	return ret;
}

static long poke_memory(uint64_t page, uint32_t off, uint32_t value, uint32_t width)
{
	return guest_access(page * PAGE + off, width, &value, 1);
}

/* The used index, and the entry before it. */
static long look_at_used(uint32_t q)
{
	uint32_t entry[2];
	uint16_t idx;
	long ret = guest_access(ring_at(q, 2) + 2, 2, &idx, 0);
	if (ret)
		return ret;
	tell("idx", idx);
	ret = guest_access(ring_at(q, 2) + 4 + 8ULL * ((idx - 1U) & (ring_size(q) - 1)), 8, entry, 0);
	if (ret)
		return ret;
	tell("id", entry[0]);
	tell("len", entry[1]);
	return ret;
}

/*
 * A request of a disk, with header, data and status behind each other. Its shape: plain (0), header
 * and data are one descriptor, or data and status (1), half of the data not mapped (2), a short
 * header (3), none (4), a sector also where it means nothing (5), a long range (6), no status (7),
 * an empty one (8), one that is not mapped (9), one that comes first (10).
 */
static long disk_request(int op, uint32_t type, uint64_t sector, uint32_t len, uint64_t page,
			 uint32_t off, uint32_t num, uint32_t flags, int shape, uint32_t pieces,
			 int indirect, int what)
{
	static uint8_t raw[16 + 0x40000];
	uint64_t at = page * PAGE + off, data = at + 16, nowhere = AREA_PAGES * PAGE, told;
	uint64_t in_header = type < 2 || shape == 5 ? sector : 0;
	int reads = type == 0 || type == 8, flag = reads ? 2 : 0;
	uint32_t n = type == 4 ? 0 : len, i;
	struct chain p = { 0 };
	uint8_t status = 0x5a; /* nobody answered yet */
	long ret;
	memset(raw, 0, 32);
	memcpy(raw, &type, 4);
	memcpy(raw + 8, &in_header, 8);
	for (i = 0; i < n; i++)
		raw[16 + i] = (uint8_t)(op * 16 + i + (i >> 8));
	if (type == 11 || type == 13) {
		memcpy(raw + 16, &sector, 8);
		memcpy(raw + 24, &num, 4);
		memcpy(raw + 28, &flags, 4);
		n = 16 + (shape == 6);
	}
	ret = guest_access(at, reads ? 16 : 16 + n, raw, 1);
	if (ret == 0)
		ret = guest_access(data + n, 1, &status, 1);
	if (ret)
		return ret;
	if (shape == 10)
		cut_pieces(&p, data + n, 1, 1, 2);
	if (shape == 1 && reads) {
		cut_pieces(&p, at, 16, 1, 0);
		cut_pieces(&p, data, n + 1, pieces, 2);
	} else if (shape == 1) {
		cut_pieces(&p, at, 16 + n, pieces, 0);
		cut_pieces(&p, data + n, 1, 1, 2);
	} else if (shape != 4) {
		cut_pieces(&p, at, shape == 3 ? 15 : 16, 1, 0);
	}
	if (shape == 2) {
		cut_pieces(&p, data, n / 2, pieces, flag);
		cut_pieces(&p, nowhere, n - n / 2, 1, flag);
	} else if (n && shape != 1 && shape != 3) {
		cut_pieces(&p, data, n, pieces, flag);
	}
	if (shape != 1 && shape != 7 && shape != 10)
		cut_pieces(&p, shape == 9 ? nowhere : data + n, shape != 8, 1, 2);
	ret = and_then(what, 0, offer_chain(0, &p, indirect));
	if (ret || guest_access(data + n, 1, &status, 0))
		return ret;
	tell("status", status);
	if (reads && n >= 8 && guest_access(data, 8, &told, 0) == 0)
		tell("data", (long long)told);
	return ret;
}

/* Has the process files among the first 32 pages? */
static int has_files(void)
{
	char line[512];
	unsigned long start, end;
	int found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start < AREA + 32 * PAGE &&
		    end > AREA && strstr(line, "memfd:"))
			found = 1;
	if (maps)
		fclose(maps);
	return found;
}

/* Pages 0 to 31 of the area at IOVA 0, unless the space has mappings. */
static long bring_up_map(uint32_t asid)
{
	long ret;
	int i;
	for (i = 0; i < guest->spans; i++)
		if (guest->span[i].asid == asid)
			return 0;
	ret = guest_message(72, 2, asid, 2, 0, 32 * PAGE, AREA, 3);
	if (ret < 0)
		return ret;
	if (maps_files_only && !has_files()) {
		guest->spans--;
		return -EFAULT;
	}
	return 0;
}

static long bring_up_queue(uint32_t q, int order, uint32_t base)
{
	long ret = guest_size(q, 1U << order);
	if (ret == 0)
		ret = vring_addr(q, 0, ring_at(q, 0), ring_at(q, 1), ring_at(q, 2));
	if (ret == 0)
		ret = vring_state(VHOST_SET_VRING_BASE, q, base);
	if (ret == 0)
		ret = guest_fd(VHOST_SET_VRING_KICK, q, EVENTFD);
	if (ret == 0)
		ret = guest_fd(VHOST_SET_VRING_CALL, q, EVENTFD + 1);
	if (ret == 0)
		ret = vring_state(VHOST_VDPA_SET_VRING_ENABLE, q, 1);
	guest->slot[q] = 0;
	if (ret == 0)
		put_u16(ring_at(q, 1) + 2, base);
	return ret;
}

/* All calls that a device needs; what was done before is left out. */
static long bring_up(int order, uint64_t features, int queues, uint32_t base, uint32_t asid)
{
	uint8_t status = 0;
	uint32_t q;
	long ret = 0;
	if (fcntl(NODE, F_GETFD) < 0)
		ret = guest_open();
	if (ret == 0 && !guest->owned)
		ret = guest_owner();
	if (ret == 0 && !guest->agreed)
		ret = guest_agrees(0xe);
	if (ret == 0)
		ret = node_ioctl(VHOST_VDPA_GET_STATUS, &status);
	if (ret == 0 && status)
		ret = guest_status(0);
	if (ret == 0)
		ret = guest_status(1);
	if (ret == 0)
		ret = guest_status(3);
	if (ret == 0)
		ret = guest_features(features);
	if (ret == 0)
		ret = guest_status(11);
	if (ret == 0 && asid)
		ret = vring_state(VHOST_VDPA_SET_GROUP_ASID, 1, asid);
	if (ret == 0)
		ret = bring_up_map(0);
	if (ret == 0 && asid)
		ret = bring_up_map(asid);
	for (q = 0; ret == 0 && q < 3; q++)
		if (queues >> q & 1)
			ret = bring_up_queue(q, order, base);
	return ret ? ret : guest_status(15);
}
"""
