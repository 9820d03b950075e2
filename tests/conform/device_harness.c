// SPDX-License-Identifier: GPL-2.0-or-later
/* device.h without a kernel: memory is an array, an interrupt is a number. For test_device.py. */
#include <stdint.h>
#include <string.h>

typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef uint64_t __u64;

#include "device.h"

#define SIZE (1 << 20)

unsigned char memory[SIZE];
unsigned int interrupts;
int room = 1;
static struct vf_device device;

static void *vf_mem(__u64 addr, __u32 len)
{
	return len && addr && addr < SIZE && addr + len <= SIZE ? memory + addr : NULL;
}

static void vf_interrupt(struct vf_device *d, int q)
{
	interrupts++;
}

static int vf_room(struct vf_device *d, int q)
{
	return room;
}

void start(int num, int packed, int event, int mergeable, int conforming, int desc, int driver,
	   int dev)
{
	struct vf_queue *q = &device.rx[0];

	memset(memory, 0, SIZE);
	memset(&device, 0, sizeof(device));
	interrupts = 0;
	room = 1;
	vf_init();
	vf_crc_init();
	vf_device_reset(&device);
	device.size_max = 1 << 20;
	device.offloads = ~0ull;
	device.driver_ok = device.pairs = device.pairs_used = 1;
	device.mergeable = mergeable;
	device.conforming = conforming;
	device.hdr_len = 12;
	q->packed = packed;
	q->event = event;
	q->num = num;
	q->desc = memory + desc;
	q->avail = q->driver = (void *)(memory + driver);
	q->used = q->device = (void *)(memory + dev);
	q->enabled = 1;
	vf_queue_start(q);
}

int rx(int count, int size, int flags, int gso_type)
{
	struct vf_hdr hdr = { .flags = flags, .gso_type = gso_type, .gso_size = 1448,
			      .csum_start = 34, .csum_offset = 16 };

	return vf_rx(&device, 0, count, size, &hdr);
}

int use(int pick, int len, int num_buffers, int dry)
{
	struct vf_hdr hdr = { .num_buffers = num_buffers };

	return vf_op_use(&device, 0, pick, len, &hdr, dry);
}

int cont(int pick, int len, int count)
{
	return vf_op_cont(&device, 0, pick, len, count);
}

int bad_used(int id, int len)
{
	return vf_op_bad_used(&device, 0, id, len);
}

/* What a conforming device makes of a packet: size, flags, type, gso size, start, offset, hash. */
void correct(uint64_t features, int size_max, uint32_t *packet)
{
	struct vf_device d = { .offloads = features, .size_max = size_max,
			       .hash_report = features >> 57 & 1 };
	struct vf_hdr hdr = { packet[1], packet[2], packet[3], packet[4], packet[5], 0, packet[6] };

	packet[0] = vf_correct(&d, packet[0], &hdr);
	packet[1] = hdr.flags;
	packet[2] = hdr.gso_type;
	packet[3] = hdr.gso_type ? hdr.gso_size : 0;
	packet[4] = hdr.csum_start;
	packet[5] = hdr.csum_offset;
	packet[6] = hdr.hash_report;
}

/* The ring is one of transmission: how many frames the device sent. */
int sent(int count)
{
	device.tx[0] = device.rx[0];
	vf_fetch(&device.tx[0]);
	device.crc = device.bytes = 0;
	return vf_op_sent(&device, 0, count);
}

uint32_t sent_crc(void)
{
	return device.crc;
}

uint32_t sent_bytes(void)
{
	return device.bytes;
}

int sent_wrong(void)
{
	return device.tx[0].wrong;
}

int command(const uint8_t *out, int len, int rss, int table, int pairs, int nack)
{
	device.pairs = pairs;
	device.nack = nack;
	return vf_command(&device, out, len, rss, table);
}

int pairs_used(void)
{
	return device.pairs_used;
}

uint32_t filter(void)
{
	return device.filter;
}

uint64_t offloads(void)
{
	return device.offloads;
}

void kicks(int on)
{
	vf_fetch(&device.rx[0]);
	vf_notifications(&device.rx[0], on);
}

int held(void)
{
	vf_fetch(&device.rx[0]);
	return device.rx[0].n_out;
}

int wrong(void)
{
	return device.rx[0].wrong;
}

int falsified(void)
{
	return device.rx[0].falsified;
}
