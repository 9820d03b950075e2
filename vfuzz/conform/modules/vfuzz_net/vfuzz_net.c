// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vfuzz_net: a virtio transport with a virtio-net device behind it, inside of the guest.
 *
 * /dev/vfuzz_net takes commands: make a device, let it do what a program says, run a
 * NAPI poll, suspend, and tell what the driver's rings look like. The device itself is device.h.
 *
 * A scheduled NAPI context does not run by itself: its poll function is replaced by one that
 * leaves it scheduled and off every list, and a command calls the driver's own with the budget
 * that a program asks for. The driver's code is untouched. Refill work waits for its command too:
 * its function is replaced by one that puts it off.
 *
 * Zero copy of 6.12 is behind two things that no release has: the driver does not say that it can
 * do it, and its rings map what it has mapped. Both are data, and set where a program asks for it.
 */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/platform_device.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <linux/workqueue.h>
#include <net/busy_poll.h>
#include <net/xdp.h>
#include <net/xdp_sock_drv.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#include <net/netdev_queues.h>
#endif

#include "device.h"

#define VF_ZERO_COPY (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0) && \
		      LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0))

#define VF_STATS_MAX 128

enum vf_command {
	VF_PLUG, VF_UNPLUG, VF_RX, VF_USE, VF_CONT, VF_BAD_USED, VF_IRQ, VF_KICKS, VF_POLL,
	VF_BUSY_POLL, VF_FREEZE, VF_RESTORE, VF_LOOK, VF_DRAIN, VF_LET, VF_NACK, VF_XMIT, VF_SENT,
	VF_RELEASE, VF_TARGETS, VF_BREAK, VF_END, VF_WORK, VF_XSK, VF_XSK_GONE,
};

struct vf_request {
	__u32 command;
	__u32 arg[11];
};

struct vf_queue_state {
	__u32 num_free, avail, held, lens, notified, captured;
	__u64 packets, bytes; /* as queue statistics show them; ~0 where there are none */
	__u32 tx_num_free, tx_held;
	__u64 tx_packets, tx_bytes;
};

struct vf_answer {
	__s64 ret;
	__s32 ifindex;
	__u32 wrong;
	__u64 rx_packets, rx_length_errors, rx_frame_errors;
	__u32 crc, bytes; /* of frames that were sent, or that targets of redirection are done with */
	__u64 rx_queues; /* as the stack has it */
	__u64 filter;	 /* VF_FILTER_*; ~0 where it was not negotiated */
	struct vf_queue_state queue[VF_QUEUES_MAX];
	__u64 n_stats;
	__u64 stats[VF_STATS_MAX]; /* as ethtool -S shows them */
};

/* commands one after the other, each answer behind the one before */
struct vf_many {
	__u64 requests, answers; /* of the process */
	__u32 count, bytes;	 /* bytes: that there is room for */
};

#define VF_DO _IOWR('V', 1, struct vf_request)
#define VF_MANY _IOW('V', 2, struct vf_many)
#define VF_VQS_MAX (2 * VF_QUEUES_MAX + 1)
#define VF_DRAIN_MAX 100
#define VF_SETTLE_MAX 50 /* ticks */
#define VF_XMIT_MAX 16
#define VF_NEVER (HZ * 3600 * 24)
#define VF_PLACES 32 /* bytes behind struct virtqueue in which flags of a ring are */
#define VF_AWAY_MAX 512
#define VF_CPU_BULK 8 /* of a cpumap: frames that it takes together, frames that it has */
#define VF_CPU_MAX 64

struct vf_net {
	struct virtio_device vdev;
	struct virtio_net_config config;
	struct vf_device device;
	__u64 features;
	__u16 num;
	__u8 status;
	int n_vqs, cvq;
	struct virtqueue *vqs[VF_VQS_MAX];
	struct vf_queue control;
	struct net_device *dev;
	struct napi_struct *napi[VF_QUEUES_MAX];
	bool captured[VF_QUEUES_MAX];
	bool again[VF_QUEUES_MAX]; /* its last poll took the whole budget */
	int pass[VF_QUEUES_MAX];	/* polls that go through */
	int passed[VF_QUEUES_MAX];	/* what the first of them returned */
	bool let;			/* all polls go through */
	bool frozen;			/* the driver has freed its queues */
	bool ended;			/* nothing is received any more */
	bool refilled;			/* since they do, refill work ran */
	struct delayed_work *refill;	/* the driver's */
	struct work_struct *rx_mode;	/* the driver's, if it tells the device by a work */
	bool premap[VF_QUEUES_MAX];	/* receive rings that are not to map buffers */
	bool premapped[VF_QUEUES_MAX];	/* and that do not */
};

static struct vf_net *vf;
static struct platform_device *vf_parent;
static int (*vf_driver_poll)(struct napi_struct *, int);
static work_func_t vf_driver_refill;
static DEFINE_MUTEX(vf_lock);

/* ---- what device.h needs ---- */

static void *vf_mem(__u64 addr, __u32 len)
{
	if (!len || !pfn_valid(addr >> PAGE_SHIFT) || !pfn_valid((addr + len - 1) >> PAGE_SHIFT))
		return NULL;
	return phys_to_virt(addr);
}

static void vf_interrupt(struct vf_device *d, int q)
{
	local_bh_disable();
	vring_interrupt(0, vf->vqs[2 * q]);
	local_bh_enable();
}

static int vf_room(struct vf_device *d, int q)
{
	const struct vf_queue *dq = &d->rx[q];

	/* a buffer may take one descriptor: then a ring full of used entries has nothing else */
	return vf->vqs[2 * q]->num_free || dq->n_out || dq->held[0].n > 1;
}

/* ---- where programs redirect to ---- */

/*
 * Devices without hardware: one that sends when a program says so, one that builds an skb on each
 * frame (as a cpumap and veth do), and one whose ring is full.
 */
enum vf_target { VF_TO_DEVICE, VF_TO_CPU, VF_TO_FULL, VF_TARGETS_N };

struct vf_frames {
	int n;
	struct xdp_frame *frame[VF_AWAY_MAX];
};

static struct net_device *vf_target[VF_TARGETS_N];
static struct vf_frames vf_stage[2]; /* taken by targets in the running poll */
static struct vf_frames vf_away;     /* in the hands of targets, oldest first */
static bool vf_for_cpu[VF_AWAY_MAX];
static int vf_n_cpu;

static int vf_target_xmit(struct net_device *dev, int n, struct xdp_frame **frames, u32 flags)
{
	struct vf_frames *stage;
	int i;

	if (dev == vf_target[VF_TO_FULL])
		return 0;
	stage = &vf_stage[dev == vf_target[VF_TO_CPU]];
	for (i = 0; i < n; i++) {
		if (vf_stage[0].n + vf_stage[1].n + vf_away.n >= VF_AWAY_MAX)
			break;
		if (dev == vf_target[VF_TO_CPU] && vf_n_cpu++ >= VF_CPU_MAX) {
			vf_n_cpu--;
			break;
		}
		stage->frame[stage->n++] = frames[i];
	}
	return i;
}

static netdev_tx_t vf_target_skb(struct sk_buff *skb, struct net_device *dev)
{
	kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops vf_target_ops = {
	.ndo_start_xmit = vf_target_skb,
	.ndo_xdp_xmit = vf_target_xmit,
};

static void vf_unstage(int to, int from, int n)
{
	int i;

	for (i = from; i < from + n; i++) {
		vf_for_cpu[vf_away.n] = to;
		vf_away.frame[vf_away.n++] = vf_stage[to].frame[i];
	}
}

/*
 * A poll is over: its frames are on their way, in the order in which a cpumap, which takes eight
 * at a time, and a device map get them.
 */
static void vf_redirected(void)
{
	int n = vf_stage[1].n, early = n ? (n - 1) / VF_CPU_BULK * VF_CPU_BULK : 0;

	vf_unstage(1, 0, early);
	vf_unstage(0, 0, vf_stage[0].n);
	vf_unstage(1, early, n - early);
	vf_stage[0].n = vf_stage[1].n = 0;
}

static void vf_frame_bytes(struct vf_device *d, const struct xdp_frame *frame)
{
	struct skb_shared_info *shared = xdp_get_shared_info_from_frame((void *)frame);
	int i;

	d->crc = vf_crc(d->crc, frame->data, frame->len);
	d->bytes += frame->len;
	for (i = 0; xdp_frame_has_frags((void *)frame) && i < shared->nr_frags; i++) {
		d->crc = vf_crc(d->crc, skb_frag_address(&shared->frags[i]),
				skb_frag_size(&shared->frags[i]));
		d->bytes += skb_frag_size(&shared->frags[i]);
	}
}

/* Targets are done with their oldest frames: how many. */
static int vf_release_frames(struct vf_device *d, int count)
{
	struct sk_buff *skb;
	int i, n = min(count, vf_away.n);

	for (i = 0; i < n; i++) {
		vf_frame_bytes(d, vf_away.frame[i]);
		skb = NULL;
		if (vf_for_cpu[i]) {
			vf_n_cpu--;
			skb = xdp_build_skb_from_frame(vf_away.frame[i], vf_target[VF_TO_CPU]);
		}
		if (skb)
			kfree_skb(skb);
		else
			xdp_return_frame(vf_away.frame[i]);
	}
	vf_away.n -= n;
	memmove(vf_away.frame, vf_away.frame + n, vf_away.n * sizeof(vf_away.frame[0]));
	memmove(vf_for_cpu, vf_for_cpu + n, vf_away.n * sizeof(vf_for_cpu[0]));
	return n;
}

static void vf_target_setup(struct net_device *dev)
{
	ether_setup(dev);
	dev->netdev_ops = &vf_target_ops;
	dev->max_mtu = dev->mtu = 1 << 20;
	eth_hw_addr_random(dev);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	xdp_set_features_flag(dev, NETDEV_XDP_ACT_NDO_XMIT | NETDEV_XDP_ACT_NDO_XMIT_SG);
#endif
}

static int vf_targets_make(void)
{
	int i, err;

	for (i = 0; i < VF_TARGETS_N; i++) {
		vf_target[i] = alloc_netdev(0, "vfuzz%d", NET_NAME_ENUM, vf_target_setup);
		if (!vf_target[i])
			return -ENOMEM;
		err = register_netdev(vf_target[i]);
		if (err)
			return err;
		rtnl_lock();
		err = dev_open(vf_target[i], NULL);
		rtnl_unlock();
		if (err)
			return err;
	}
	return 0;
}

/* Another device redirects `n` frames here, each a page of its own: how many went, or -errno. */
static int vf_do_xmit(int n, __u32 size, __u32 headroom)
{
	struct xdp_frame *frame[VF_XMIT_MAX];
	struct page *page;
	int i, sent;

	if (!vf->dev)
		return -ENETDOWN;
	if (n > VF_XMIT_MAX || sizeof(**frame) + headroom + size > PAGE_SIZE)
		return -EINVAL;
	sent = xdp_ok_fwd_dev(vf->dev, size);
	if (sent)
		return sent;
	for (i = 0; i < n; i++) {
		page = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!page)
			break;
		frame[i] = page_address(page);
		frame[i]->data = (void *)(frame[i] + 1) + headroom;
		frame[i]->len = size;
		frame[i]->headroom = headroom;
		frame[i]->frame_sz = PAGE_SIZE;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
		frame[i]->mem_type = MEM_TYPE_PAGE_ORDER0;
#else
		frame[i]->mem.type = MEM_TYPE_PAGE_ORDER0;
#endif
		memset(frame[i]->data, 0x55, size);
	}
	n = i;
	local_bh_disable();
	sent = vf->dev->netdev_ops->ndo_xdp_xmit(vf->dev, n, frame, XDP_XMIT_FLUSH);
	local_bh_enable();
	for (i = max(sent, 0); i < n; i++)
		xdp_return_frame(frame[i]);
	return sent;
}

/* ---- NAPI ---- */

static int vf_poll(struct napi_struct *napi, int budget)
{
	int i, done;

	for (i = 0; i < VF_QUEUES_MAX; i++)
		if (vf->napi[i] == napi)
			break;
	if (i == VF_QUEUES_MAX)
		return 0;
	if (vf->let || vf->pass[i]) {
		if (vf->pass[i])
			vf->pass[i]--;
		done = vf_driver_poll(napi, budget);
		vf_redirected();
		if (vf->passed[i] < 0)
			vf->passed[i] = done;
		return done;
	}
	/* less than the budget, and not completed: it stays scheduled, and nobody polls it */
	vf->captured[i] = true;
	vf->again[i] = false;
	return 0;
}

/* The driver's receive contexts, queue 0 first; their poll functions are replaced. */
static void vf_take_napi(void)
{
	struct napi_struct *napi;
	int i = vf->device.pairs;

	/* added in the order rx 0, tx 0, rx 1, ...; each at the front of the list */
	list_for_each_entry(napi, &vf->dev->napi_list, dev_list) {
		if (napi->poll == vf_poll)
			continue;
		if (list_is_last(&napi->dev_list, &vf->dev->napi_list))
			vf_driver_poll = napi->poll;
	}
	list_for_each_entry(napi, &vf->dev->napi_list, dev_list) {
		if (napi->poll != vf_driver_poll || !i)
			continue;
		i--;
		vf->napi[i] = napi;
		vf->captured[i] = false;
		vf->pass[i] = 0;
		napi->poll = vf_poll;
	}
}

#if VF_ZERO_COPY
/*
 * Work that is due stays pending, for the driver to see and to cancel, until a command or what the
 * user does runs it.
 */
static void vf_refill(struct work_struct *work)
{
	if (!vf->let) {
		queue_delayed_work(system_wq, to_delayed_work(work), VF_NEVER);
		return;
	}
	vf->refilled = true;
	vf_driver_refill(work);
}
#endif

/* The one delayed work that the driver's private data has. */
static void vf_take_refill(void)
{
#if VF_ZERO_COPY
	const size_t at = offsetof(struct delayed_work, timer.function);
	char *priv = netdev_priv(vf->dev);
	struct delayed_work *work;
	size_t i;

	for (i = 0; i + sizeof(*work) <= vf->dev->priv_len; i += sizeof(void *)) {
		work = (struct delayed_work *)(priv + i);
		if (*(void **)(priv + i + at) != (void *)delayed_work_timer_fn)
			continue;
		if (work->work.func != vf_refill)
			vf_driver_refill = work->work.func;
		work->work.func = vf_refill;
		vf->refill = work;
		break;
	}
#endif
}

/*
 * The work that tells the device what to receive, which is idle by now, by its function's name. The
 * driver of 6.1 has none.
 */
static void vf_find_rx_mode(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	char *priv = netdev_priv(vf->dev), name[32];
	struct work_struct *work;
	size_t i;

	for (i = 0; i + sizeof(*work) <= vf->dev->priv_len; i += sizeof(void *)) {
		work = (struct work_struct *)(priv + i);
		if (work->entry.next != &work->entry || !work->func)
			continue;
		snprintf(name, sizeof(name), "%ps", work->func);
		if (!strcmp(name, "virtnet_rx_mode_work"))
			vf->rx_mode = work;
	}
#endif
}

/* Refill work that is pending runs now; whose contexts are scheduled has polled them before. */
static int vf_run_refill(void)
{
	if (!vf->refill || !cancel_delayed_work(vf->refill))
		return 0;
	vf_driver_refill(&vf->refill->work);
	return 1;
}

/* A softirq that was left to its thread has to come first. */
static void vf_settle(void)
{
	unsigned long state;
	int i, n;

	for (i = 0; vf && i < vf->device.pairs && i < VF_QUEUES_MAX; i++) {
		for (n = 0; n < VF_SETTLE_MAX && vf->napi[i] && !vf->captured[i]; n++) {
			state = READ_ONCE(vf->napi[i]->state);
			if (!(state & NAPIF_STATE_SCHED) || state & NAPIF_STATE_NPSVC)
				break;
			schedule_timeout_uninterruptible(1);
		}
	}
}

static int vf_do_poll(__u32 q, int budget)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct bpf_net_context context, *set;
#endif
	int done;

	if (q >= vf->device.pairs || !vf->captured[q])
		return -1;
	local_bh_disable();
	vf->captured[q] = false;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	set = bpf_net_ctx_set(&context);
#endif
	done = vf_driver_poll(vf->napi[q], budget);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	bpf_net_ctx_clear(set);
#endif
	vf_redirected();
	vf->captured[q] |= done >= budget;
	vf->again[q] = done >= budget;
	local_bh_enable();
	return done;
}

static int vf_do_busy_poll(__u32 q, int budget)
{
	if (q >= vf->device.pairs || vf->captured[q] || !vf->napi[q])
		return -1;
	/* one poll, and one more to give the context back */
	vf->pass[q] = 2;
	vf->passed[q] = -1;
	napi_busy_loop(vf->napi[q]->napi_id, NULL, NULL, false, budget);
	vf->pass[q] = 0;
	return vf->passed[q];
}

/* ---- the control queue ---- */

static void vf_control(struct vf_queue *q)
{
	static __u8 out[4096];
	const struct vf_held *h;
	__u32 len, n;
	__u8 *p;
	int i;

	vf_fetch(q);
	while (q->n_out) {
		h = &q->held[q->out[0]];
		len = 0;
		for (i = 0; i < h->n_parts; i++) {
			p = vf_mem(h->part[i].addr, h->part[i].len);
			if (!p)
				continue;
			n = min_t(__u32, h->part[i].len, sizeof(out) - len);
			if (h->part[i].write) {
				*p = vf_command(&vf->device, out, len,
						!!(vf->features & BIT_ULL(VIRTIO_NET_F_RSS)),
						le16_to_cpu(vf->config.rss_max_indirection_table_length))
					     ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
			} else {
				memcpy(out + len, p, n);
				len += n;
			}
		}
		vf_use(q, 0, 1);
	}
}

/* ---- transport ---- */

static struct vf_queue *vf_queue_at(int index)
{
	if (index == vf->cvq)
		return &vf->control;
	return index & 1 ? &vf->device.tx[index / 2] : &vf->device.rx[index / 2];
}

static bool vf_notify(struct virtqueue *vq)
{
	struct vf_queue *q = vf_queue_at(vq->index);

	q->n_notified++;
	if (q == &vf->control)
		vf_control(q);
	else if (vq->index & 1)
		vf_fetch(q); /* it looks at transmit rings when it is told to */
	return true;
}

static void vf_place(struct virtqueue *vq)
{
	struct vf_queue *q = vf_queue_at(vq->index);

	q->packed = !!(vf->vdev.features & BIT_ULL(VIRTIO_F_RING_PACKED));
	q->event = !!(vf->vdev.features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	q->num = virtqueue_get_vring_size(vq);
	q->desc = phys_to_virt(virtqueue_get_desc_addr(vq));
	q->avail = q->driver = phys_to_virt(virtqueue_get_avail_addr(vq));
	q->used = q->device = phys_to_virt(virtqueue_get_used_addr(vq));
	vf_queue_start(q);
}

static void vf_del_vqs(struct virtio_device *vdev)
{
	int i;

	for (i = 0; i < vf->n_vqs; i++) {
		if (vf->vqs[i])
			vring_del_virtqueue(vf->vqs[i]);
		vf->vqs[i] = NULL;
	}
	for (i = 0; i < VF_QUEUES_MAX; i++) {
		vf->device.rx[i].live = vf->device.tx[i].live = 0;
		vf->napi[i] = NULL;
		vf->captured[i] = false;
		vf->premap[i] = vf->premapped[i] = false;
	}
	vf->n_vqs = 0;
}

static int vf_add_vq(struct virtio_device *vdev, int i, void (*callback)(struct virtqueue *),
		     const char *name, bool ctx)
{
	__u16 num = i == vf->cvq ? VF_NUM_MAX : vf->num;

	vf->vqs[i] = vring_create_virtqueue(i, num, PAGE_SIZE, vdev, true, false, ctx, vf_notify,
					    callback, name);
	if (!vf->vqs[i])
		return -ENOMEM;
	vf->vqs[i]->num_max = num;
	vf_place(vf->vqs[i]);
	return 0;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
static int vf_find_vqs(struct virtio_device *vdev, unsigned int n, struct virtqueue *vqs[],
		       struct virtqueue_info info[], struct irq_affinity *desc)
#define VF_NAME(i) info[i].name
#define VF_CALLBACK(i) info[i].callback
#define VF_CTX(i) info[i].ctx
#else
static int vf_find_vqs(struct virtio_device *vdev, unsigned int n, struct virtqueue *vqs[],
		       vq_callback_t *callbacks[], const char *const names[], const bool *ctx,
		       struct irq_affinity *desc)
#define VF_NAME(i) names[i]
#define VF_CALLBACK(i) callbacks[i]
#define VF_CTX(i) (ctx && ctx[i])
#endif
{
	int i, err;

	if (n > VF_VQS_MAX)
		return -EINVAL;
	vf->n_vqs = n;
	vf->cvq = n - 1;
	for (i = 0; i < n; i++) {
		err = vf_add_vq(vdev, i, VF_CALLBACK(i), VF_NAME(i), VF_CTX(i));
		if (err) {
			vf_del_vqs(vdev);
			return err;
		}
		vqs[i] = vf->vqs[i];
	}
	/* the control queue works before DRIVER_OK is there */
	vf->control.enabled = 1;
	if (vf->dev) {
		vf_take_napi();
		vf_take_refill();
	}
	return 0;
}

/*
 * A receive ring that is empty takes buffers as the driver has mapped them, or maps them itself.
 * Nothing takes the former back: where it is kept is seen from the bytes that it changes.
 */
static void vf_premap(struct virtqueue *vq, int q)
{
#if VF_ZERO_COPY
	static __u8 was[VF_PLACES], now[VF_PLACES];
	__u8 *flags = (__u8 *)(vq + 1);
	int i;

	if (vf->premap[q] == vf->premapped[q])
		return;
	if (vf->premap[q]) {
		memcpy(was, flags, sizeof(was));
		if (virtqueue_set_dma_premapped(vq))
			return;
		memcpy(now, flags, sizeof(now));
	} else {
		for (i = 0; i < VF_PLACES; i++)
			if (was[i] != now[i])
				flags[i] = was[i];
	}
	vf->premapped[q] = vf->premap[q];
#endif
}

static void vf_get_config(struct virtio_device *vdev, unsigned int at, void *to, unsigned int n)
{
	if (at + n <= sizeof(vf->config))
		memcpy(to, (char *)&vf->config + at, n);
}

static void vf_set_config(struct virtio_device *vdev, unsigned int at, const void *from,
			  unsigned int n)
{
}

static u8 vf_get_status(struct virtio_device *vdev)
{
	return vf->status;
}

static void vf_set_status(struct virtio_device *vdev, u8 status)
{
	int i;

	vf->status = status;
	vf->device.driver_ok = !!(status & VIRTIO_CONFIG_S_DRIVER_OK);
	for (i = 0; i < VF_QUEUES_MAX; i++)
		vf->device.rx[i].enabled = vf->device.tx[i].enabled = vf->device.driver_ok;
}

static void vf_reset(struct virtio_device *vdev)
{
	vf_set_status(vdev, 0);
	vf->device.gone = 0;
	vf->device.pairs_used = 1;
	vf->device.filter = 0;
	vf->device.offloads = vdev->features;
}

static u64 vf_get_features(struct virtio_device *vdev)
{
	return vf->features;
}

static int vf_finalize_features(struct virtio_device *vdev)
{
	vring_transport_features(vdev);
	vf->device.offloads = vdev->features;
	/* the queue reset that a resize needs is there whatever was negotiated */
	return 0;
}

static const char *vf_bus_name(struct virtio_device *vdev)
{
	return "vfuzz";
}

static int vf_disable_vq(struct virtqueue *vq)
{
	struct vf_queue *q = vf_queue_at(vq->index);

	q->enabled = 0;
	return 0;
}

static int vf_enable_vq(struct virtqueue *vq)
{
	struct vf_queue *q = vf_queue_at(vq->index);

	vf_place(vq);
	if (vq->index != vf->cvq && !(vq->index & 1))
		vf_premap(vq, vq->index / 2);
	q->enabled = 1;
	return 0;
}

static const struct virtio_config_ops vf_ops = {
	.get = vf_get_config,
	.set = vf_set_config,
	.get_status = vf_get_status,
	.set_status = vf_set_status,
	.reset = vf_reset,
	.find_vqs = vf_find_vqs,
	.del_vqs = vf_del_vqs,
	.get_features = vf_get_features,
	.finalize_features = vf_finalize_features,
	.bus_name = vf_bus_name,
	.disable_vq_and_reset = vf_disable_vq,
	.enable_vq_after_reset = vf_enable_vq,
};

/* ---- commands ---- */

static void vf_release(struct device *dev)
{
	struct vf_net *old = container_of(dev, struct vf_net, vdev.dev);

	kfree(old);
}

/*
 * Without buffers a context of 7.2 comes again, how often is chance. Where somebody waits to
 * disable it net_rx_action() completes it, and so does this.
 */
static void vf_disabling(struct work_struct *work)
{
	bool more = false;
	int q;

	local_bh_disable();
	for (q = 0; vf && q < vf->device.pairs; q++) {
		if (!vf->captured[q] || !vf->napi[q])
			continue;
		more = true;
		if (!napi_disable_pending(vf->napi[q]))
			continue;
		vf->captured[q] = false;
		napi_complete(vf->napi[q]);
	}
	local_bh_enable();
	if (more)
		schedule_delayed_work(to_delayed_work(work), 1);
}

static DECLARE_DELAYED_WORK(vf_disable_work, vf_disabling);

static int vf_drain(void)
{
	int q, n, done = 0;

	for (q = 0; vf && q < vf->device.pairs; q++) {
		for (n = 0; n < VF_DRAIN_MAX && vf->captured[q] && !vf->again[q]; n++, done++)
			vf_do_poll(q, NAPI_POLL_WEIGHT);
		if (vf->captured[q])
			schedule_delayed_work(&vf_disable_work, 1);
	}
	return done;
}

static struct vf_device vf_nobody; /* who has a name for what is seen at the end */

/* Nothing is received any more, and what is held back is let go. */
static void vf_end(void)
{
	int i;

	if (!vf || vf->ended)
		return;
	vf->ended = true;
	vf->let = true;
	if (vf->frozen)
		virtio_device_restore(&vf->vdev);
	/* nothing is received any more: a program may end just before what would spoil the guest */
	virtio_break_device(&vf->vdev);
	/*
	 * What was sent is taken back still: virtnet_poll_cleantx() would look for it for ever in a
	 * broken ring. Who takes a program away sends commands, and warns where they are not answered.
	 */
	vf->device.nack = 0;
	for (i = 1; i < vf->n_vqs; i += 2)
		__virtqueue_unbreak(vf->vqs[i]);
	if (vf->n_vqs)
		__virtqueue_unbreak(vf->vqs[vf->cvq]);
	vf_drain();
}

static void vf_unplug(void)
{
	struct netdev_bpf none = { .command = XDP_SETUP_PROG };

	if (!vf)
		return;
	vf_end();
	/* an interface that is down takes it along */
	if (vf->refill)
		cancel_delayed_work_sync(vf->refill);
	if (vf->dev) {
		/* while it is registered: later the queues that XDP has are not taken from the stack */
		rtnl_lock();
		vf->dev->netdev_ops->ndo_bpf(vf->dev, &none);
		rtnl_unlock();
	}
	unregister_virtio_device(&vf->vdev);
	cancel_delayed_work_sync(&vf_disable_work);
	vf_release_frames(&vf_nobody, VF_AWAY_MAX);
	vf = NULL;
}

/*
 * arg: features (two words), pairs, ring, mtu, rss key size, rss table length, conforming,
 * zero copy is offered
 */
static int vf_plug(const __u32 *arg)
{
	struct net_device *dev;
	int err;

	vf_unplug();
	vf = kzalloc(sizeof(*vf), GFP_KERNEL);
	if (!vf)
		return -ENOMEM;
	vf->features = arg[0] | (__u64)arg[1] << 32;
	vf->num = arg[3];
	eth_broadcast_addr(vf->config.mac);
	vf->config.mac[0] = 2;
	vf->config.max_virtqueue_pairs = cpu_to_le16(arg[2]);
	vf->config.mtu = cpu_to_le16(arg[4]);
	vf->config.rss_max_key_size = arg[5];
	vf->config.rss_max_indirection_table_length = cpu_to_le16(arg[6]);
	vf->config.supported_hash_types = cpu_to_le32(0x1ff);
	vf->device.pairs = vf->features & (BIT_ULL(VIRTIO_NET_F_MQ) | BIT_ULL(VIRTIO_NET_F_RSS)) ?
			   arg[2] : 1;
	vf->device.pairs_used = 1;
	vf->device.conforming = arg[7];
	vf->device.mergeable = !!(vf->features & BIT_ULL(VIRTIO_NET_F_MRG_RXBUF));
	vf->device.hash_report = !!(vf->features & BIT_ULL(VIRTIO_NET_F_HASH_REPORT));
	vf->device.size_max = vf->features & BIT_ULL(VIRTIO_NET_F_MTU) ? arg[4] + 18 : 1518;
	vf->device.hdr_len = 10;
	if (vf->features & (BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) | BIT_ULL(VIRTIO_F_VERSION_1)))
		vf->device.hdr_len = 12;
	if (vf->features & BIT_ULL(VIRTIO_NET_F_HASH_REPORT))
		vf->device.hdr_len = 20;
	vf_device_reset(&vf->device);
	vf->vdev.id.device = VIRTIO_ID_NET;
	vf->vdev.id.vendor = VIRTIO_DEV_ANY_ID;
	vf->vdev.config = &vf_ops;
	vf->vdev.dev.parent = &vf_parent->dev;
	vf->vdev.dev.release = vf_release;
	err = register_virtio_device(&vf->vdev);
	if (err) {
		put_device(&vf->vdev.dev);
		vf = NULL;
		return err;
	}
	rtnl_lock();
	for_each_netdev(&init_net, dev) {
		if (dev->dev.parent != &vf->vdev.dev)
			continue;
		vf->dev = dev;
		/* what it would merge is not what the driver delivered */
		dev->wanted_features &= ~NETIF_F_GRO;
		dev->features &= ~NETIF_F_GRO;
		vf_take_napi();
		vf_take_refill();
		vf_find_rx_mode();
#if VF_ZERO_COPY
		if (arg[8])
			xdp_set_features_flag(dev, dev->xdp_features |
						   NETDEV_XDP_ACT_XSK_ZEROCOPY);
#endif
	}
	rtnl_unlock();
	if (!vf->dev)
		return -ENODEV;
	return 0;
}

static void vf_queue_statistics(int i, struct vf_queue_state *state)
{
	state->packets = state->bytes = state->tx_packets = state->tx_bytes = ~0ull;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	if (vf->dev->stat_ops) {
		struct netdev_queue_stats_rx rx = { .packets = ~0ull, .bytes = ~0ull };
		struct netdev_queue_stats_tx tx = { .packets = ~0ull, .bytes = ~0ull };

		vf->dev->stat_ops->get_queue_stats_rx(vf->dev, i, &rx);
		state->packets = rx.packets;
		state->bytes = rx.bytes;
		vf->dev->stat_ops->get_queue_stats_tx(vf->dev, i, &tx);
		state->tx_packets = tx.packets;
		state->tx_bytes = tx.bytes;
	}
#endif
}

static __u32 vf_digest(const struct vf_queue *q)
{
	__u32 h = 2166136261u;
	int k;

	for (k = 0; k < q->n_out; k++)
		h = (h ^ q->held[q->out[k]].capacity) * 16777619u;
	return h & 0x7fffffff;
}

static void vf_statistics(struct vf_answer *a)
{
	const struct ethtool_ops *ops = vf->dev->ethtool_ops;
	struct ethtool_stats stats = { .cmd = ETHTOOL_GSTATS };
	int n = ops->get_sset_count(vf->dev, ETH_SS_STATS);

	if (n < 0 || n > VF_STATS_MAX)
		return;
	stats.n_stats = a->n_stats = n;
	ops->get_ethtool_stats(vf->dev, &stats, a->stats);
}

static void vf_look(struct vf_answer *a)
{
	struct rtnl_link_stats64 stats;
	struct vf_queue *q;
	int i;

	/* a driver that is suspended must not be asked: what it counts in is freed */
	if (!vf || !vf->dev || vf->frozen)
		return;
	a->ifindex = vf->dev->ifindex;
	dev_get_stats(vf->dev, &stats);
	a->rx_packets = stats.rx_packets;
	a->rx_length_errors = stats.rx_length_errors;
	a->rx_frame_errors = stats.rx_frame_errors;
	a->crc = vf->device.crc;
	a->bytes = vf->device.bytes;
	a->rx_queues = vf->dev->real_num_rx_queues;
	a->filter = ~0ull;
	if (vf->vdev.features & BIT_ULL(VIRTIO_NET_F_CTRL_RX))
		a->filter = vf->device.filter;
	vf_statistics(a);
	for (i = 0; i < vf->device.pairs && i < VF_QUEUES_MAX; i++) {
		q = &vf->device.rx[i];
		a->wrong |= q->wrong << i | vf->device.tx[i].wrong << (8 + i);
		if (!q->live || !vf->vqs[2 * i])
			continue;
		a->queue[i].num_free = vf->vqs[2 * i]->num_free;
		a->queue[i].avail = q->packed ? q->avail_idx | q->avail_wrap << 15
					      : vf_get(&q->avail[1]);
		a->queue[i].held = q->n_out;
		a->queue[i].lens = vf_digest(q);
		a->queue[i].notified = q->n_notified;
		a->queue[i].captured = vf->captured[i];
		a->queue[i].tx_num_free = vf->vqs[2 * i + 1]->num_free;
		a->queue[i].tx_held = vf->device.tx[i].n_out;
		vf_queue_statistics(i, &a->queue[i]);
	}
}

/* A socket was closed: what its pool has of the queue is given back later, by a worker. */
static int vf_xsk_gone(__u32 q)
{
	int n;

	rcu_barrier(); /* behind which that worker is asked */
	for (n = 0; n < VF_SETTLE_MAX; n++) {
		if (!vf->dev || !xsk_get_pool_from_qid(vf->dev, q))
			return 0;
		schedule_timeout_uninterruptible(1);
	}
	return -EBUSY;
}

static int vf_do(const struct vf_request *r)
{
	const __u32 *a = r->arg;
	struct vf_hdr hdr = {};
	int q, err;

	if (r->command == VF_TARGETS) /* the interface of a target */
		return a[0] < VF_TARGETS_N ? vf_target[a[0]]->ifindex : -EINVAL;
	if (r->command == VF_PLUG)
		return vf_plug(a);
	if (!vf)
		return -ENODEV;
	switch (r->command) {
	case VF_UNPLUG:
		vf_unplug();
		return 0;
	case VF_RX: /* queue, count, size, flags, gso type, gso size, start, offset, hash */
	case VF_USE: /* queue, pick, len, flags, gso type, gso size, start, offset, dry, buffers */
		hdr.flags = a[3];
		hdr.gso_type = a[4];
		hdr.gso_size = a[5];
		hdr.csum_start = a[6];
		hdr.csum_offset = a[7];
		if (r->command == VF_RX) {
			hdr.hash_report = a[8];
			return vf_rx(&vf->device, a[0], a[1], a[2], &hdr);
		}
		hdr.num_buffers = a[9];
		return vf_op_use(&vf->device, a[0], a[1], a[2], &hdr, a[8]);
	case VF_CONT:
		return vf_op_cont(&vf->device, a[0], a[1], a[2], a[3]);
	case VF_BAD_USED:
		return vf_op_bad_used(&vf->device, a[0], a[1], a[2]);
	case VF_IRQ:
		q = vf_queue_of(&vf->device, a[0]);
		if (vf_may_use(&vf->device, q))
			vf_interrupt(&vf->device, q);
		return 0;
	case VF_KICKS:
		q = vf_queue_of(&vf->device, a[0]);
		if (vf_may_use(&vf->device, q)) {
			vf_fetch(&vf->device.rx[q]);
			vf_notifications(&vf->device.rx[q], a[1]);
		}
		return 0;
	case VF_POLL:
		return vf_do_poll(a[0], a[1]);
	case VF_BUSY_POLL:
		return vf_do_busy_poll(a[0], a[1]);
	case VF_FREEZE:
		if (!vf->dev)
			return -ENODEV;
		err = virtio_device_freeze(&vf->vdev);
		vf->frozen = !err;
		return err;
	case VF_RESTORE:
		err = virtio_device_restore(&vf->vdev);
		vf->frozen = false;
		return err;
	case VF_LOOK:
		return 0;
	case VF_DRAIN:
		return vf_drain();
	case VF_LET:
		if (vf->let && !a[0] && !vf->refilled)
			vf_run_refill(); /* it was pending before it was let */
		vf->let = a[0];
		vf->refilled = false;
		if (vf->rx_mode)
			flush_work(vf->rx_mode);
		return 0;
	case VF_END:
		vf_end();
		return 0;
	case VF_WORK:
		if (vf->refill && delayed_work_pending(vf->refill))
			vf_drain();
		return vf_run_refill();
	case VF_XSK: /* queue, is it going to have chunks? */
		if (a[0] < VF_QUEUES_MAX)
			vf->premap[a[0]] = a[1];
		return 0;
	case VF_XSK_GONE:
		return vf_xsk_gone(a[0]);
	case VF_NACK:
		q = vf->device.nack != a[0];
		vf->device.nack = a[0];
		return q;
	case VF_XMIT: /* count, size, headroom */
		return vf_do_xmit(a[0], a[1], a[2]);
	case VF_SENT:
		return vf_op_sent(&vf->device, a[0], a[1]);
	case VF_RELEASE:
		return vf_release_frames(&vf->device, a[0]);
	case VF_BREAK:
		if (!vf->dev || vf->device.gone)
			return 0;
		virtio_break_device(&vf->vdev);
		vf->device.gone = 1;
		return 1;
	}
	return -EINVAL;
}

/*
 * Making and removing a device allocates hundreds of things, and KASAN writes down the stack of
 * each: a worker's is a short one. And refill work that was scheduled before is done before.
 */
struct vf_errand {
	struct work_struct work;
	const struct vf_request *request;
	int ret;
};

static void vf_errand_do(struct work_struct *work)
{
	struct vf_errand *errand = container_of(work, struct vf_errand, work);

	errand->ret = vf_do(errand->request);
}

static int vf_send(const struct vf_request *request)
{
	struct vf_errand errand = { .request = request };

	if (request->command > VF_UNPLUG && request->command != VF_LET)
		return vf_do(request);
	INIT_WORK_ONSTACK(&errand.work, vf_errand_do);
	schedule_work(&errand.work);
	flush_work(&errand.work);
	destroy_work_on_stack(&errand.work);
	return errand.ret;
}

/* One command; how many bytes its answer has, which is where `to` says. */
static long vf_one(void __user *from, void __user *to, size_t room)
{
	static struct vf_answer answer; /* under the lock */
	struct vf_request request;
	size_t size;
	long ret;

	if (copy_from_user(&request, from, sizeof(request)))
		return -EFAULT;
	mutex_lock(&vf_lock);
	memset(&answer, 0, sizeof(answer));
	vf_settle();
	if (vf)
		vf->device.crc = vf->device.bytes = 0;
	answer.ret = vf_send(&request);
	vf_settle();
	vf_look(&answer);
	ret = size = offsetof(struct vf_answer, stats) + answer.n_stats * sizeof(answer.stats[0]);
	if (size > room)
		ret = -ENOSPC;
	else if (copy_to_user(to, &answer, size))
		ret = -EFAULT;
	mutex_unlock(&vf_lock);
	return ret;
}

static long vf_ioctl(struct file *file, unsigned int cmd, unsigned long where)
{
	void __user *there = (void __user *)where;
	struct vf_many many;
	__u32 i, at = 0;
	long ret;

	switch (cmd) {
	case VF_DO:
		/* the answer takes the request's place; it is larger, and the caller knows */
		ret = vf_one(there, there, sizeof(struct vf_answer));
		return min(ret, 0L);
	case VF_MANY:
		if (copy_from_user(&many, there, sizeof(many)))
			return -EFAULT;
		for (i = 0; i < many.count; i++) {
			ret = vf_one((void __user *)(unsigned long)many.requests +
					     i * sizeof(struct vf_request),
				     (void __user *)(unsigned long)many.answers + at,
				     many.bytes - at);
			if (ret < 0)
				return ret;
			at += ret;
			/* as on the way back to a process: what a command woke comes first */
			cond_resched();
		}
		return 0;
	}
	return -ENOTTY;
}

static const struct file_operations vf_file = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vf_ioctl,
};

static struct miscdevice vf_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vfuzz_net",
	.fops = &vf_file,
};

static int __init vf_start(void)
{
	int err;

	vf_init();
	vf_crc_init();
	err = vf_targets_make();
	if (err)
		return err;
	vf_parent = platform_device_register_simple("vfuzz_net", -1, NULL, 0);
	if (IS_ERR(vf_parent))
		return PTR_ERR(vf_parent);
	/*
	 * As the driver of any bus does it. Since 6.10 the kernel works out here that memory which is
	 * mapped directly needs no syncs, and AF_XDP takes chunks from its fill ring in another way.
	 */
	err = dma_set_mask_and_coherent(&vf_parent->dev, DMA_BIT_MASK(64));
	if (err)
		return err;
	/* it is never unloaded: the guest ends with it */
	return misc_register(&vf_misc);
}

module_init(vf_start);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A virtio-net device that does what a vfuzz program says");
