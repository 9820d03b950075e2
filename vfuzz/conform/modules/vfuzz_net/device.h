/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device side of virtio-net receive queues: reads the rings as the specification says, and
 * completes buffers as a program says, conforming or hostile.
 *
 * It is plain C without a line of kernel: who includes it says what memory is behind a DMA address
 * (vf_mem) and what an interrupt is (vf_interrupt). The same decisions, in the same order and with
 * the same numbers of origins, stand in targets/virtio_net/device.pxi; bytes are the same function
 * of origin and offset as there, so that both sides can say what a packet must be made of.
 */
#ifndef VFUZZ_DEVICE_H
#define VFUZZ_DEVICE_H

#define VF_QUEUES_MAX 3
#define VF_NUM_MAX 32
#define VF_PARTS_MAX 20
#define VF_ORIGINS_MAX 1024
#define VF_ORIGIN_FIRST 2 /* 0 is memory that nobody wrote, 1 the CPU */

#define VF_DESC_NEXT 1
#define VF_DESC_WRITE 2
#define VF_DESC_INDIRECT 4
#define VF_NO_INTERRUPT 1
#define VF_NO_NOTIFY 1
#define VF_AVAIL (1 << 7)
#define VF_USED (1 << 15)
#define VF_EVENT_ENABLE 0
#define VF_EVENT_DISABLE 1
#define VF_EVENT_DESC 2

#define VF_GUEST_CSUM 1 /* feature bits */
#define VF_GUEST_TSO4 7
#define VF_GUEST_TSO6 8
#define VF_GUEST_ECN 9
#define VF_GUEST_UFO 10
#define VF_GUEST_USO4 54

#define VF_HDR_CSUM 1 /* of a packet's header: flags, types */
#define VF_HDR_VALID 2
#define VF_GSO_TCPV4 1
#define VF_GSO_UDP 3
#define VF_GSO_TCPV6 4
#define VF_GSO_UDP_L4 5
#define VF_GSO_ECN 0x80
#define VF_GSO_INVALID 0x7f

#define VF_NACK_MQ 1
#define VF_NACK_OFFLOADS 2
#define VF_NACK_PROMISC 4
#define VF_NACK_ALLMULTI 8
#define VF_NACK_TABLE 16

#define VF_FILTER_PROMISC 1 /* the filter in a word */
#define VF_FILTER_ALLMULTI 2
#define VF_FILTER_UNICAST 4 /* from here on: addresses of the user, a bit each */
#define VF_FILTER_MULTICAST 8
#define VF_FILTER_STACK (1 << 12) /* the group that IPv4 joins */
#define VF_FILTER_WRONG (1u << 31) /* an address that nobody asked for, or one twice */

struct vf_desc {
	__u64 addr;
	__u32 len;
	__u16 flags;
	__u16 next; /* packed: buffer id, and flags and it change places */
};

struct vf_packed_desc {
	__u64 addr;
	__u32 len;
	__u16 id;
	__u16 flags;
};

struct vf_part {
	__u64 addr;
	__u32 len;
	__u8 write;
};

struct vf_held {
	__u16 n;	/* descriptors in the ring */
	__u16 n_parts;
	__u32 capacity; /* bytes, all parts */
	struct vf_part part[VF_PARTS_MAX];
};

struct vf_queue {
	__u8 live, enabled, packed, event, falsified;
	__u8 wrong;	/* what the driver published is no sense: nothing is read any more */
	__u16 num;
	/* where the rings are */
	void *desc;
	__u16 *avail;	/* flags, idx, ring[num], used_event */
	__u16 *used;	/* flags, idx, {id, len}[num], avail_event */
	__u16 *driver;	/* packed: off_wrap, flags */
	__u16 *device;
	/* how far the device is */
	__u16 avail_idx, used_idx;
	__u8 avail_wrap, used_wrap;
	__u16 signalled, since_signal;
	__u32 n_avail;	/* split: entries, packed: descriptors read so far */
	__u32 n_used;	/* entries written so far */
	__u32 n_notified;
	int packet;	/* that `cont` continues, 0 none */
	int n_out;
	__u16 out[VF_NUM_MAX]; /* ids of the buffers that it has, oldest first */
	struct vf_held held[VF_NUM_MAX];
};

struct vf_device {
	__u8 driver_ok, gone, mergeable, conforming, hash_report;
	__u32 hdr_len;
	__u32 size_max;		/* of a packet without GSO */
	__u64 offloads;		/* feature bits of the guest offloads that are on */
	__u32 nack;		/* VF_NACK_*: commands that it refuses */
	__u32 filter;		/* VF_FILTER_*: what it receives by */
	__u32 crc, bytes;	/* of the frames that it sent in the running op */
	int pairs, pairs_used; /* as the driver's last command has it */
	int n_origins, n_packets;
	struct vf_queue rx[VF_QUEUES_MAX];
	struct vf_queue tx[VF_QUEUES_MAX];
};

struct vf_hdr { /* of a packet; the first hdr_len bytes of 20 are written */
	__u8 flags, gso_type;
	__u16 gso_size, csum_start, csum_offset, num_buffers;
	__u16 hash_report;
};

/* Memory behind a DMA address, NULL if there is none. */
static void *vf_mem(__u64 addr, __u32 len);
/* Queue q interrupts. */
static void vf_interrupt(struct vf_device *d, int q);
/* Has the driver taken so much that another used entry overwrites none that it has not seen? */
static int vf_room(struct vf_device *d, int q);

static inline __u16 vf_get(const __u16 *p)
{
	return *(const volatile __u16 *)p;
}

static inline void vf_set(__u16 *p, __u16 value)
{
	*(volatile __u16 *)p = value;
}

static void vf_device_reset(struct vf_device *d)
{
	d->n_origins = VF_ORIGIN_FIRST;
	d->n_packets = 1;
}

/* A ring as new; the caller has said where it lies. */
static void vf_queue_start(struct vf_queue *q)
{
	q->falsified = q->wrong = 0;
	q->avail_idx = q->used_idx = 0;
	q->avail_wrap = q->used_wrap = 1;
	q->signalled = q->since_signal = 0;
	q->n_avail = q->n_used = q->n_notified = 0;
	q->packet = 0;
	q->n_out = 0;
	q->live = 1;
}

/* ---- what became available ---- */

static int vf_add_part(struct vf_held *h, __u64 addr, __u32 len, __u16 flags)
{
	if (h->n_parts >= VF_PARTS_MAX)
		return -1;
	h->part[h->n_parts].addr = addr;
	h->part[h->n_parts].len = len;
	h->part[h->n_parts].write = (flags & VF_DESC_WRITE) != 0;
	h->n_parts++;
	h->capacity += len;
	return 0;
}

static int vf_add_table(struct vf_queue *q, struct vf_held *h, __u64 addr, __u32 len)
{
	const struct vf_desc *t = vf_mem(addr, len);
	const struct vf_packed_desc *p = (const void *)t;
	__u32 i, n = len / 16, at = 0;

	if (!t || len % 16)
		return -1;
	if (q->packed) {
		for (i = 0; i < n; i++)
			if (vf_add_part(h, p[i].addr, p[i].len, p[i].flags))
				return -1;
		return 0;
	}
	for (i = 0; i < n; i++) {
		if (at >= n || vf_add_part(h, t[at].addr, t[at].len, t[at].flags))
			return -1;
		if (!(t[at].flags & VF_DESC_NEXT))
			return 0;
		at = t[at].next;
	}
	return -1;
}

static int vf_fetch_split(struct vf_queue *q)
{
	const struct vf_desc *desc = q->desc;
	__u16 idx = vf_get(&q->avail[1]);
	struct vf_held *h;
	__u16 id, at;

	if ((__u16)(idx - q->avail_idx) > q->num)
		return -1;
	if (q->avail_idx == idx)
		return 0;
	while (q->avail_idx != idx) {
		id = q->avail[2 + (q->avail_idx & (q->num - 1))];
		if (q->n_out >= q->num || id >= q->num)
			return -1;
		h = &q->held[id];
		h->n = h->n_parts = 0;
		h->capacity = 0;
		at = id;
		for (;;) {
			if (at >= q->num || h->n >= q->num)
				return -1;
			h->n++;
			if (desc[at].flags & VF_DESC_INDIRECT) {
				if (vf_add_table(q, h, desc[at].addr, desc[at].len))
					return -1;
			} else if (vf_add_part(h, desc[at].addr, desc[at].len, desc[at].flags)) {
				return -1;
			}
			if (!(desc[at].flags & VF_DESC_NEXT))
				break;
			at = desc[at].next;
		}
		q->out[q->n_out++] = id;
		q->avail_idx++;
		q->n_avail++;
	}
	vf_set((__u16 *)((char *)q->used + 4 + 8 * q->num), q->avail_idx);
	return 0;
}

static int vf_is_avail(__u16 flags, int wrap)
{
	return !!(flags & VF_AVAIL) == wrap && !!(flags & VF_USED) != wrap;
}

static int vf_fetch_packed(struct vf_queue *q)
{
	const struct vf_packed_desc *desc = q->desc;
	struct vf_held h;
	__u16 at, flags, id, i;
	int wrap;

	for (;;) {
		at = q->avail_idx;
		wrap = q->avail_wrap;
		flags = vf_get(&desc[at].flags);
		if (!vf_is_avail(flags, wrap))
			break;
		h.n = h.n_parts = 0;
		h.capacity = 0;
		for (;;) {
			if (h.n >= q->num || !vf_is_avail(flags, wrap))
				return -1;
			h.n++;
			if (flags & VF_DESC_INDIRECT) {
				if (vf_add_table(q, &h, desc[at].addr, desc[at].len))
					return -1;
			} else if (vf_add_part(&h, desc[at].addr, desc[at].len, flags)) {
				return -1;
			}
			id = desc[at].id;
			if (++at >= q->num) {
				at = 0;
				wrap = !wrap;
			}
			if (!(flags & VF_DESC_NEXT))
				break;
			flags = vf_get(&desc[at].flags);
		}
		if (id >= q->num || q->n_out >= q->num)
			return -1;
		q->held[id].n = h.n;
		q->held[id].n_parts = h.n_parts;
		q->held[id].capacity = h.capacity;
		for (i = 0; i < h.n_parts; i++)
			q->held[id].part[i] = h.part[i];
		q->out[q->n_out++] = id;
		q->n_avail += h.n;
		q->avail_idx = at;
		q->avail_wrap = wrap;
	}
	if (q->event) {
		if (vf_get(&q->device[1]) != VF_EVENT_DISABLE)
			vf_set(&q->device[1], VF_EVENT_DESC);
		vf_set(&q->device[0], q->avail_idx | (q->avail_wrap ? VF_USED : 0));
	}
	return 0;
}

static void vf_fetch(struct vf_queue *q)
{
	if (!q->enabled || q->wrong)
		return;
	if (q->packed ? vf_fetch_packed(q) : vf_fetch_split(q))
		q->wrong = 1;
}

/* ---- what is given back ---- */

static void vf_used_raw(struct vf_queue *q, __u32 id, __u32 len, int n)
{
	if (q->packed) {
		struct vf_packed_desc *desc = q->desc;
		__u16 at = q->used_idx;

		desc[at].id = (__u16)id;
		desc[at].len = len;
		vf_set(&desc[at].flags, q->used_wrap ? VF_AVAIL | VF_USED : 0);
		at += n;
		if (at >= q->num) {
			at -= q->num;
			q->used_wrap = !q->used_wrap;
		}
		q->used_idx = at;
		q->since_signal += n;
	} else {
		__u32 *ring = (__u32 *)((char *)q->used + 4);
		__u16 slot = q->used_idx & (q->num - 1);

		ring[2 * slot] = id;
		ring[2 * slot + 1] = len;
		q->used_idx++;
		vf_set(&q->used[1], q->used_idx);
	}
	q->n_used++;
}

static void vf_use(struct vf_queue *q, int k, __u32 len)
{
	__u16 id = q->out[k];
	int i;

	q->n_out--;
	for (i = k; i < q->n_out; i++)
		q->out[i] = q->out[i + 1];
	vf_used_raw(q, id, len, q->held[id].n);
}

static int vf_needs(__u16 event, __u16 new, __u16 old)
{
	return (__u16)(new - event - 1) < (__u16)(new - old);
}

/* Does the driver ask for an interrupt, after used entries were published? */
static int vf_wants_interrupt(struct vf_queue *q)
{
	__u16 old, off, n;
	int event, now;

	if (q->packed) {
		n = q->since_signal;
		q->since_signal = 0;
		if (!n || vf_get(&q->driver[1]) == VF_EVENT_DISABLE)
			return 0;
		if (vf_get(&q->driver[1]) == VF_EVENT_ENABLE)
			return 1;
		off = vf_get(&q->driver[0]);
		event = off & (VF_USED - 1);
		if (!!(off & VF_USED) != q->used_wrap)
			event -= q->num;
		now = q->used_idx;
		return now - event - 1 < n && now - event - 1 >= 0;
	}
	old = q->signalled;
	q->signalled = q->used_idx;
	if (old == q->used_idx)
		return 0;
	if (q->event)
		return vf_needs(vf_get(&q->avail[2 + q->num]), q->used_idx, old);
	return !(vf_get(&q->avail[0]) & VF_NO_INTERRUPT);
}

static void vf_notifications(struct vf_queue *q, int on)
{
	if (!q->packed)
		vf_set(&q->used[0], on ? 0 : VF_NO_NOTIFY);
	else if (on)
		vf_set(&q->device[1], q->event ? VF_EVENT_DESC : VF_EVENT_ENABLE);
	else
		vf_set(&q->device[1], VF_EVENT_DISABLE);
}

/* ---- bytes ---- */

static __u8 vf_pattern[4096 + 256]; /* [i] = 7 * i */

static void vf_init(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(vf_pattern); i++)
		vf_pattern[i] = 7 * i;
}

/* Bytes [at, at + n) of a pattern: origin * 31 + offset * 7 + 1. 183 is 1/7 modulo 256. */
static void vf_fill(__u8 *to, int origin, __u32 at, __u32 n)
{
	__u32 first = (at + (__u32)(origin * 31 + 1) * 183) & 255, part;

	while (n) {
		part = n < 4096 ? n : 4096;
		memcpy(to, vf_pattern + first, part);
		to += part;
		n -= part; /* 4096 is a multiple of 256: the phase stays */
	}
}

static void vf_put16(__u8 *p, __u32 value)
{
	p[0] = value;
	p[1] = value >> 8;
}

static void vf_head(__u8 *p, const struct vf_hdr *h, int origin)
{
	p[0] = h->flags;
	p[1] = h->gso_type;
	vf_put16(p + 2, 0);
	vf_put16(p + 4, h->gso_size);
	vf_put16(p + 6, h->csum_start);
	vf_put16(p + 8, h->csum_offset);
	vf_put16(p + 10, h->num_buffers);
	vf_put16(p + 12, h->hash_report ? (__u32)origin * 40503u : 0);
	vf_put16(p + 14, h->hash_report ? origin : 0);
	vf_put16(p + 16, h->hash_report);
	vf_put16(p + 18, 0);
}

/* Bytes [at, at + n) of an origin; hdr: of the first buffer of a packet, else NULL. */
static void vf_bytes(__u8 *to, const struct vf_hdr *hdr, __u32 hdr_len, int origin, __u32 at,
		     __u32 n)
{
	__u8 head[20];
	__u32 i;

	if (!hdr) {
		vf_fill(to, origin, at, n);
		return;
	}
	vf_head(head, hdr, origin);
	while (n && at < hdr_len) {
		*to++ = head[at++];
		n--;
	}
	if (!n)
		return;
	at -= hdr_len;
	vf_fill(to, origin, at, n);
	for (i = 12; i < 14; i++) /* the type of an IPv4 packet */
		if (at <= i && i < at + n)
			to[i - at] = i == 12 ? 8 : 0;
}

/* Complete the k-th buffer: `written` bytes of an origin, used length `used`. */
static void vf_complete(struct vf_device *d, struct vf_queue *q, int k, __u32 used, __u32 written,
			int origin, const struct vf_hdr *hdr)
{
	const struct vf_held *h = &q->held[q->out[k]];
	__u32 done = 0, n;
	__u8 *to;
	int i;

	for (i = 0; i < h->n_parts && done < written; i++) {
		n = h->part[i].len < written - done ? h->part[i].len : written - done;
		to = h->part[i].write ? vf_mem(h->part[i].addr, n) : NULL;
		if (to)
			vf_bytes(to, hdr, d->hdr_len, origin, done, n);
		else
			q->wrong = 1;
		done += n;
	}
	vf_use(q, k, used);
}

/* ---- ops ---- */

static int vf_may_use(struct vf_device *d, int q)
{
	return q < d->pairs && d->rx[q].live && d->rx[q].enabled && d->driver_ok &&
	       !d->rx[q].falsified && !d->gone;
}

static int vf_queue_of(struct vf_device *d, __u32 q)
{
	int n = d->conforming ? d->pairs_used : d->pairs;

	return n ? q % n : 0;
}

static int vf_packet_new(struct vf_device *d)
{
	return d->n_packets >= VF_ORIGINS_MAX ? 0 : d->n_packets++;
}

static __u32 vf_capacity(struct vf_queue *q, int k)
{
	return q->held[q->out[k]].capacity;
}

static int vf_packet_out(struct vf_device *d, struct vf_queue *q, __u32 size, struct vf_hdr *hdr)
{
	__u32 need = d->hdr_len + size, left = need, cap;
	int n = 1, i;

	vf_fetch(q);
	if (!q->n_out)
		return 0;
	if (d->mergeable) {
		for (n = 0; left; n++) {
			if (n >= q->n_out)
				return 0;
			cap = vf_capacity(q, n);
			left -= cap < left ? cap : left;
		}
	} else if (need > vf_capacity(q, 0) && d->conforming) {
		return 0;
	}
	if (d->n_origins + n > VF_ORIGINS_MAX || !vf_packet_new(d))
		return 0;
	q->packet = 0;
	left = need;
	hdr->num_buffers = n;
	for (i = 0; i < n; i++) {
		cap = vf_capacity(q, 0) < left ? vf_capacity(q, 0) : left;
		if (d->mergeable) {
			left -= cap;
			need = cap;
		}
		vf_complete(d, q, 0, need, cap, d->n_origins++, i ? NULL : hdr);
	}
	return 1;
}

static void vf_ask(struct vf_device *d, int q)
{
	if (vf_may_use(d, q) && vf_wants_interrupt(&d->rx[q]))
		vf_interrupt(d, q);
}

static int vf_offload(const struct vf_device *d, int bit)
{
	return d->offloads >> bit & 1;
}

/* May a packet have this type, as the offloads are now? */
static int vf_gso_on(const struct vf_device *d, __u8 type)
{
	if (type & VF_GSO_ECN && !vf_offload(d, VF_GUEST_ECN))
		return 0;
	switch (type) {
	case VF_GSO_TCPV4:
	case VF_GSO_TCPV4 | VF_GSO_ECN:
		return vf_offload(d, VF_GUEST_TSO4);
	case VF_GSO_TCPV6:
	case VF_GSO_TCPV6 | VF_GSO_ECN:
		return vf_offload(d, VF_GUEST_TSO6);
	case VF_GSO_UDP:
		return vf_offload(d, VF_GUEST_UFO);
	case VF_GSO_UDP_L4:
		return vf_offload(d, VF_GUEST_USO4);
	}
	return 0;
}

/* What a device that keeps to the rules makes of a packet that is asked for: its size. */
static __u32 vf_correct(const struct vf_device *d, __u32 size, struct vf_hdr *h)
{
	__u32 limit = d->size_max;

	if (!vf_offload(d, VF_GUEST_CSUM))
		h->flags = h->gso_type = 0;
	h->flags &= VF_HDR_CSUM | VF_HDR_VALID;
	if (!vf_gso_on(d, h->gso_type))
		h->gso_type = 0;
	if (h->gso_type) {
		limit = 65535 + 14;
		size = size < 90 ? 90 : size;
		h->flags |= VF_HDR_CSUM;
		h->gso_size = h->gso_size < 536 ? 536 : h->gso_size > 65000 ? 65000 : h->gso_size;
		h->csum_start = 14 + 20;
		h->csum_offset = 16;
		if ((h->gso_type & ~VF_GSO_ECN) == VF_GSO_TCPV6)
			h->csum_start = 14 + 40;
		if (h->gso_type == VF_GSO_UDP || h->gso_type == VF_GSO_UDP_L4)
			h->csum_offset = 6;
	} else if (h->flags & VF_HDR_CSUM) {
		h->csum_start = 14 + 20;
		h->csum_offset = 16;
		if (size < 14 + 20 + 20)
			h->flags &= ~VF_HDR_CSUM;
	}
	if (!d->hash_report)
		h->hash_report = 0;
	return size < limit ? size : limit;
}

/* The device delivers up to `count` packets of the same size: how many, -1 without a queue. */
static int vf_rx(struct vf_device *d, __u32 queue, __u32 count, __u32 size, struct vf_hdr *hdr)
{
	int q = vf_queue_of(d, queue), sent = 0;

	if (!vf_may_use(d, q))
		return -1;
	if (d->conforming)
		size = vf_correct(d, size, hdr);
	if (!hdr->gso_type)
		hdr->gso_size = 0;
	while (count-- && vf_packet_out(d, &d->rx[q], size, hdr))
		sent++;
	vf_ask(d, q);
	return sent;
}

static int vf_op_use(struct vf_device *d, __u32 queue, __u32 pick, __u32 len, struct vf_hdr *hdr,
		     int dry)
{
	int qi = vf_queue_of(d, queue);
	struct vf_queue *q = &d->rx[qi];
	__u32 written = len;

	if (d->conforming || !vf_may_use(d, qi))
		return -1;
	vf_fetch(q);
	if (!q->n_out || d->n_origins >= VF_ORIGINS_MAX)
		return 0;
	if (d->n_packets >= VF_ORIGINS_MAX)
		return 0;
	q->packet = vf_packet_new(d);
	if (dry && written > d->hdr_len)
		written = d->hdr_len;
	vf_complete(d, q, pick % q->n_out, len, written, d->n_origins++, hdr);
	vf_ask(d, qi);
	return 1;
}

static int vf_op_cont(struct vf_device *d, __u32 queue, __u32 pick, __u32 len, __u32 count)
{
	int qi = vf_queue_of(d, queue), sent = 0;
	struct vf_queue *q = &d->rx[qi];

	if (d->conforming || !vf_may_use(d, qi))
		return -1;
	vf_fetch(q);
	if (!q->packet)
		q->packet = vf_packet_new(d);
	while (count-- && q->packet && q->n_out && d->n_origins < VF_ORIGINS_MAX) {
		vf_complete(d, q, pick % q->n_out, len, len, d->n_origins++, NULL);
		sent++;
	}
	vf_ask(d, qi);
	return sent;
}

static int vf_op_bad_used(struct vf_device *d, __u32 queue, __u32 id, __u32 len)
{
	int qi = vf_queue_of(d, queue), k = 0;
	struct vf_queue *q = &d->rx[qi];

	if (d->conforming || !vf_may_use(d, qi))
		return -1;
	vf_fetch(q);
	if (!vf_packet_new(d) || d->n_origins >= VF_ORIGINS_MAX)
		return 0;
	q->packet = 0;
	d->n_origins++;
	while (k < q->n_out && q->out[k] != id)
		k++;
	if (k < q->n_out) {
		vf_use(q, k, len);
		vf_ask(d, qi);
	} else {
		if (vf_room(d, qi)) {
			vf_used_raw(q, id, len, 1);
			vf_ask(d, qi);
		}
		q->falsified = 1;
	}
	return 1;
}

/* ---- transmission ---- */

static __u32 vf_crc_table[256];

static void vf_crc_init(void)
{
	__u32 i, k, c;

	for (i = 0; i < 256; i++) {
		for (c = i, k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
		vf_crc_table[i] = c;
	}
}

/* CRC-32 of more bytes; begins with 0. */
static __u32 vf_crc(__u32 crc, const __u8 *p, __u32 n)
{
	crc = ~crc;
	while (n--)
		crc = vf_crc_table[(crc ^ *p++) & 255] ^ crc >> 8;
	return ~crc;
}

/* The device sends the oldest frame of a transmit ring, behind its header, and returns it. */
static void vf_send_one(struct vf_device *d, struct vf_queue *q)
{
	const struct vf_held *h = &q->held[q->out[0]];
	__u32 skip = d->hdr_len, n;
	const __u8 *p;
	int i;

	for (i = 0; i < h->n_parts; i++) {
		n = h->part[i].len;
		p = h->part[i].write ? NULL : vf_mem(h->part[i].addr, n);
		if (!p) {
			q->wrong = 1;
			continue;
		}
		for (; skip && n; p++, n--, skip--)
			if (*p)
				q->wrong = 1; /* nothing was asked for */
		d->crc = vf_crc(d->crc, p, n);
		d->bytes += n;
	}
	vf_use(q, 0, 0);
}

/* Up to `count` of the frames that it was told of: how many, -1 without a queue. */
static int vf_op_sent(struct vf_device *d, __u32 queue, __u32 count)
{
	int q = vf_queue_of(d, queue), sent = 0;

	if (!vf_may_use(d, q))
		return -1;
	for (; count-- && d->tx[q].n_out; sent++)
		vf_send_one(d, &d->tx[q]);
	return sent;
}

/* ---- control ---- */

static __u32 vf_get16(const __u8 *p)
{
	return p[0] | p[1] << 8;
}

/*
 * The bit of an address in the filter: the user has 02:00:00:00:01:0n and 03:00:00:00:01:0n, the
 * stack 224.0.0.1.
 */
static __u32 vf_address(const __u8 *p, int multicast)
{
	static const __u8 group[6] = { 1, 0, 0x5e, 0, 0, 1 };
	int i, same = multicast;

	for (i = 0; i < 6; i++)
		same = same && p[i] == group[i];
	if (same)
		return VF_FILTER_STACK;
	if (p[0] != 2 + multicast || p[1] || p[2] || p[3] || p[4] != 1 || p[5] > 3)
		return VF_FILTER_WRONG;
	return 1u << (p[5] + (multicast ? VF_FILTER_MULTICAST : VF_FILTER_UNICAST));
}

/* Both lists of a command, each behind its number of entries: the bits of their addresses. */
static __u32 vf_addresses(const __u8 *p, __u32 len)
{
	__u32 found = 0, bit, n;
	int multicast;

	for (multicast = 0; multicast < 2; multicast++) {
		if (len < 4)
			return VF_FILTER_WRONG;
		n = p[0] | p[1] << 8 | p[2] << 16 | (__u32)p[3] << 24;
		p += 4;
		len -= 4;
		if (n > len / 6)
			return VF_FILTER_WRONG;
		for (; n; n--, p += 6, len -= 6) {
			bit = vf_address(p, multicast);
			found |= found & bit ? VF_FILTER_WRONG : bit;
		}
	}
	return len ? VF_FILTER_WRONG : found;
}

/* A command of the receive filter: is it done? */
static int vf_set_filter(struct vf_device *d, const __u8 *out, __u32 len)
{
	static const __u32 flags = VF_FILTER_PROMISC | VF_FILTER_ALLMULTI;
	__u32 bit = out[1] ? VF_FILTER_ALLMULTI : VF_FILTER_PROMISC;

	if (out[0] == 1) {
		if (out[1] || d->nack & VF_NACK_TABLE)
			return 0;
		d->filter = (d->filter & flags) | vf_addresses(out + 2, len - 2);
		return 1;
	}
	if (out[1] > 1 || len < 3 || d->nack & (out[1] ? VF_NACK_ALLMULTI : VF_NACK_PROMISC))
		return 0;
	d->filter = (d->filter & ~bit) | (out[2] ? bit : 0);
	return 1;
}

/*
 * A command of the driver, class and number first; table: entries of the indirection table. Is it
 * done?
 */
static int vf_command(struct vf_device *d, const __u8 *out, __u32 len, int rss, __u32 table)
{
	__u32 at, i, pairs = 0;

	if (len < 2)
		return 0;
	if (out[0] == 5 && out[1] == 0 && len >= 10) { /* guest offloads */
		if (d->nack & VF_NACK_OFFLOADS)
			return 0;
		d->offloads = 0;
		for (i = 0; i < 8; i++)
			d->offloads |= (__u64)out[2 + i] << 8 * i;
		return 1;
	}
	if (out[0] < 2)
		return vf_set_filter(d, out, len);
	if (out[0] != 4) /* queue pairs */
		return 1;
	if (out[1] == 0 && len >= 4) {
		pairs = vf_get16(out + 2);
	} else if (out[1] == 1 && len >= 12 && rss) {
		/* a device without a table is told of one entry that does not come with it */
		at = vf_get16(out + 6) + 1;
		at = 2 + 8 + 2 * (table < at ? table : at);
		if (at + 2 > len)
			return 1;
		pairs = vf_get16(out + at);
	} else {
		return 1;
	}
	if (d->nack & VF_NACK_MQ || pairs < 1 || pairs > (__u32)d->pairs)
		return 0;
	d->pairs_used = pairs;
	return 1;
}

#endif
