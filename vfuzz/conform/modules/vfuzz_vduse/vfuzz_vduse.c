// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What only the kernel does with a VDUSE device: threads that ask the daemon and wait, and a
 * driver's resets, looks at the configuration, bounced pages and coherent memory.
 *
 * /dev/vfuzz_vduse takes one command at a time, but for a reset: that waits for the daemon, who
 * may be the same process, and for the end of that wait. A page of it stops whoever touches it
 * first, so that others can do something while the kernel copies to it. Where the kernel has
 * vduse_dev_msg_sync() is said by who loads the module, from System.map: a request of a known type
 * that changes nothing has no other door.
 */
#include <linux/device.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vdpa.h>
#include <linux/version.h>
#include <linux/wait.h>
#include <uapi/linux/vduse.h>

enum vd_command {
	VD_ASK, VD_LEAVE, VD_WAITS, VD_RESET, VD_CONFIG, VD_MAP, VD_UNMAP, VD_ALLOC, VD_FREE,
	VD_WRITE, VD_END, VD_MEET, VD_STOPPED, VD_GO, VD_PASS,
};

struct vd_request {
	__u32 command;
	__u32 device;
	__u32 arg[6];
	__u64 value;
};

#define VD_DO _IOWR('D', 1, struct vd_request)

#define VD_DEVICES 2
#define VD_PAGES 8
#define VD_ORDER_MAX (VD_PAGES * PAGE_SIZE)
#define VD_WAIT_MAX (5 * HZ)
#define VD_START_MAX 20000 /* looks, 50 us each */
#define VD_LEAVE_TICKS (2 * HZ) /* until a thread gives up (agent_vduse.py) */
#define VD_COARSE 16 /* ticks that a timer of a few seconds may be late */

/* a request as vduse_dev_msg_sync() takes it */
struct vd_message {
	struct vduse_dev_request req;
	struct vduse_dev_response resp;
	struct list_head list;
	wait_queue_head_t waitq;
	bool completed;
};

/* who is a vdpa device that VDUSE made */
struct vd_vdpa {
	struct vdpa_device vdpa;
	void *vduse;
};

struct vd_thread {
	struct list_head next; /* oldest first */
	struct task_struct *task;
	struct completion end;
	void *vduse;
	u32 device;
	bool done;
	struct vd_message message;
};

/* a page of memory that the driver has given to the device */
struct vd_bounced {
	struct page *page;
	dma_addr_t address;
	size_t size;
	enum dma_data_direction direction;
	bool mapped;
};

struct vd_coherent {
	void *at; /* NULL: nothing begins there */
	dma_addr_t address;
	size_t size;
};

static const char *const vd_names[VD_DEVICES] = { "vfuzz0", "vfuzz1" };
static LIST_HEAD(vd_threads);
static DEFINE_MUTEX(vd_lock);
static struct vd_bounced vd_bounced[VD_PAGES];
static struct vd_coherent vd_coherent[VD_PAGES];
static struct vdpa_driver vd_driver;
/* a device that was removed is still there while its node is open: who loads the module says END
 * before that */
static struct vdpa_device *vd_met[VD_DEVICES];

/* from 6.18 on a vdpa device says otherwise who maps for it */
#define VD_KNOWN (LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0))
#if VD_KNOWN
#define VD_DMA(vdpa) ((vdpa)->dma_dev)
#else
#define VD_DMA(vdpa) (&(vdpa)->dev)
#endif

static unsigned long sync;
module_param(sync, ulong, 0);
MODULE_PARM_DESC(sync, "Address of vduse_dev_msg_sync");

/* the device, with a reference; NULL if there is none */
static struct vdpa_device *vd_find(u32 device)
{
	struct device *dev = NULL;

	if (device < VD_DEVICES)
		dev = bus_find_device_by_name(vd_driver.driver.bus, NULL, vd_names[device]);
	return dev ? dev_to_vdpa(dev) : NULL;
}

static void vd_put(struct vdpa_device *vdpa)
{
	put_device(&vdpa->dev);
}

/* ---- threads that ask ---- */

static int vd_thread(void *data)
{
	struct vd_thread *t = data;

	allow_signal(SIGKILL);
	((int (*)(void *, struct vd_message *))sync)(t->vduse, &t->message);
	WRITE_ONCE(t->done, true);
	complete(&t->end);
	return 0;
}

static void vd_forget(struct vd_thread *t)
{
	wait_for_completion(&t->end);
	put_task_struct(t->task);
	list_del(&t->next);
	kfree(t);
}

/* value: the number of its request */
static long vd_ask(struct vdpa_device *vdpa, struct vd_request *r)
{
	struct vd_thread *t = kzalloc(sizeof(*t), GFP_KERNEL);
	int i;

	if (!t)
		return -ENOMEM;
	init_completion(&t->end);
	t->device = r->device;
	t->vduse = container_of(vdpa, struct vd_vdpa, vdpa)->vduse;
	t->message.req.type = r->arg[0];
	t->task = kthread_create(vd_thread, t, "vfuzz_vduse");
	if (IS_ERR(t->task)) {
		kfree(t);
		return -ENOMEM;
	}
	get_task_struct(t->task);
	list_add_tail(&t->next, &vd_threads);
	wake_up_process(t->task);
	for (i = 0; i < VD_START_MAX && !READ_ONCE(t->done); i++) {
		if (READ_ONCE(t->message.list.next))
			break;
		usleep_range(20, 50);
	}
	if (!READ_ONCE(t->message.list.next)) {
		vd_forget(t); /* it was turned away */
		return -EIO;
	}
	r->value = t->message.req.request_id;
	return 0;
}

/* Forget the threads that have ended; the oldest of the others, with no answer yet. */
static struct vd_thread *vd_oldest(u32 device)
{
	struct vd_thread *t, *next;

	list_for_each_entry_safe(t, next, &vd_threads, next) {
		if (t->device != device)
			continue;
		if (READ_ONCE(t->done) || READ_ONCE(t->message.completed))
			vd_forget(t);
		else
			return t;
	}
	return NULL;
}

/*
 * Time passes at once in which nothing happens, as for a guest that its host did not let run.
 * Timers that are due then have run when this returns.
 */
static void vd_pass(unsigned long ticks)
{
	unsigned long flags;

	local_irq_save(flags); /* there is one processor */
	jiffies_64 += ticks + VD_COARSE;
	local_irq_restore(flags);
	schedule_timeout_uninterruptible(1);
}

/* killed, or by its timeout */
static long vd_leave(struct vd_request *r)
{
	struct vd_thread *t = vd_oldest(r->device);

	if (!t)
		return -ENOENT;
	if (r->arg[0])
		send_sig(SIGKILL, t->task, 1);
	else
		vd_pass(VD_LEAVE_TICKS);
	if (!wait_for_completion_timeout(&t->end, VD_WAIT_MAX))
		return -ETIMEDOUT;
	complete(&t->end);
	vd_forget(t);
	return 0;
}

/* Does a thread wait with this request? */
static long vd_waits(struct vd_request *r)
{
	struct vd_thread *t;

	vd_oldest(r->device);
	list_for_each_entry(t, &vd_threads, next)
		if (t->device == r->device && t->message.req.request_id == r->arg[0] &&
		    !READ_ONCE(t->done) && !READ_ONCE(t->message.completed))
			return 1;
	return 0;
}

/* ---- the driver of device 1 ---- */

static long vd_config(struct vdpa_device *vdpa, const struct vd_request *r)
{
	u8 *bytes = kmalloc(256, GFP_KERNEL);

	if (!bytes || r->arg[1] > 256) {
		kfree(bytes);
		return -ENOMEM;
	}
	vdpa->config->get_config(vdpa, r->arg[0], bytes, r->arg[1]);
	kfree(bytes);
	return 0;
}

/* arg: which page of the driver's, its part, to the device?, what is in it; value: the address */
static long vd_map(struct vdpa_device *vdpa, struct vd_request *r)
{
	struct vd_bounced *b = &vd_bounced[r->arg[0] % VD_PAGES];
	size_t off = r->arg[1], size = r->arg[2];

	if (b->mapped || off >= PAGE_SIZE || !size || size > PAGE_SIZE - off)
		return -EINVAL;
	b->page = alloc_page(GFP_KERNEL);
	if (!b->page)
		return -ENOMEM;
	memset(page_address(b->page), r->arg[4], PAGE_SIZE);
	b->size = size;
	b->direction = r->arg[3] ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	b->address = dma_map_page(VD_DMA(vdpa), b->page, off, size, b->direction);
	if (dma_mapping_error(VD_DMA(vdpa), b->address)) {
		__free_page(b->page);
		return -EINVAL;
	}
	b->mapped = true;
	r->value = b->address & PAGE_MASK;
	return 0;
}

static void vd_unmap(struct vdpa_device *vdpa, struct vd_bounced *b)
{
	if (!b->mapped)
		return;
	dma_unmap_page(VD_DMA(vdpa), b->address, b->size, b->direction);
	__free_page(b->page);
	b->mapped = false;
}

/* arg: which page of the driver's it begins with, bytes, clear it?; value: the address */
static long vd_alloc(struct vdpa_device *vdpa, struct vd_request *r)
{
	struct vd_coherent *c = &vd_coherent[r->arg[0] % VD_PAGES];

	if (c->at || !r->arg[1] || r->arg[1] > VD_ORDER_MAX)
		return -ENOMEM;
	c->size = r->arg[1];
	c->at = dma_alloc_coherent(VD_DMA(vdpa), c->size, &c->address,
				   r->arg[2] ? GFP_KERNEL | __GFP_ZERO : GFP_KERNEL);
	if (!c->at)
		return -ENOMEM;
	r->value = c->address;
	return 0;
}

static void vd_free(struct vdpa_device *vdpa, struct vd_coherent *c)
{
	if (c->at)
		dma_free_coherent(VD_DMA(vdpa), c->size, c->at, c->address);
	c->at = NULL;
}

/* arg: where an allocation begins, bytes behind that, how many, the byte */
static long vd_write(const struct vd_request *r)
{
	const struct vd_coherent *c = &vd_coherent[r->arg[0] % VD_PAGES];

	if (!c->at || (u64)r->arg[1] + r->arg[2] > PAGE_ALIGN(c->size))
		return -ENOENT;
	memset(c->at + r->arg[1], r->arg[3], r->arg[2]);
	return 0;
}

/* The device gets nothing from the driver any more, and its threads are gone. */
static void vd_end(struct vdpa_device *vdpa, u32 device)
{
	struct vd_request kill = { .command = VD_LEAVE, .device = device, .arg = { 1 } };
	int i;

	while (vd_leave(&kill) == 0)
		;
	if (device < VD_DEVICES)
		vd_met[device] = NULL;
	for (i = 0; device && vdpa && i < VD_PAGES; i++) {
		vd_unmap(vdpa, &vd_bounced[i]);
		vd_free(vdpa, &vd_coherent[i]);
	}
}

/* ---- the page that stops ---- */

static struct completion vd_go;
static bool vd_stopped;
static bool vd_is_there; /* what becomes of the touch */

static vm_fault_t vd_fault(struct vm_fault *vmf)
{
	struct page *page;

	reinit_completion(&vd_go);
	WRITE_ONCE(vd_stopped, true);
	if (wait_for_completion_killable(&vd_go))
		return VM_FAULT_SIGBUS;
	if (!vd_is_there)
		return VM_FAULT_SIGBUS;
	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return VM_FAULT_OOM;
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct vd_vm = { .fault = vd_fault };

static int vd_mmap(struct file *file, struct vm_area_struct *vma)
{
	WRITE_ONCE(vd_stopped, false);
	vma->vm_ops = &vd_vm;
	return 0;
}

/* arg: may the touch succeed? */
static long vd_let_go(const struct vd_request *r)
{
	if (!READ_ONCE(vd_stopped))
		return -ENOENT;
	vd_is_there = r->arg[0];
	WRITE_ONCE(vd_stopped, false);
	complete(&vd_go);
	return 0;
}

/* ---- commands ---- */

static long vd_do(struct vd_request *r)
{
	struct vdpa_device *vdpa = vd_find(r->device);
	long ret = 0;

	switch (r->command) {
	case VD_LEAVE:
		ret = vd_leave(r);
		goto out;
	case VD_WAITS:
		ret = vd_waits(r);
		goto out;
	case VD_END:
		vd_end(vdpa, r->device);
		goto out;
	case VD_STOPPED:
		ret = READ_ONCE(vd_stopped);
		goto out;
	case VD_GO:
		ret = vd_let_go(r);
		goto out;
	}
	ret = -ENODEV;
	if (!vdpa && r->device < VD_DEVICES && vd_met[r->device]) {
		vdpa = vd_met[r->device];
		get_device(&vdpa->dev);
	}
	if (!vdpa)
		return ret;
	ret = 0;
	switch (r->command) {
	case VD_MEET:
		vd_met[r->device] = vdpa;
		break;
	case VD_ASK:
		ret = vd_ask(vdpa, r);
		break;
	case VD_CONFIG:
		ret = vd_config(vdpa, r);
		break;
	case VD_MAP:
		ret = vd_map(vdpa, r);
		break;
	case VD_UNMAP:
		vd_unmap(vdpa, &vd_bounced[r->arg[0] % VD_PAGES]);
		break;
	case VD_ALLOC:
		ret = vd_alloc(vdpa, r);
		break;
	case VD_FREE:
		vd_free(vdpa, &vd_coherent[r->arg[0] % VD_PAGES]);
		break;
	case VD_WRITE:
		ret = vd_write(r);
		break;
	default:
		ret = -EINVAL;
	}
out:
	if (vdpa)
		vd_put(vdpa);
	return ret;
}

static long vd_ioctl(struct file *file, unsigned int cmd, unsigned long where)
{
	struct vd_request __user *there = (void __user *)where;
	struct vdpa_device *vdpa;
	struct vd_request r;
	long ret;

	if (cmd != VD_DO)
		return -ENOTTY;
	if (copy_from_user(&r, there, sizeof(r)))
		return -EFAULT;
	if (r.command == VD_RESET) {
		vdpa = vd_find(r.device);
		if (!vdpa)
			return -ENODEV;
		ret = vdpa->config->reset(vdpa);
		vd_put(vdpa);
		return ret;
	}
	if (r.command == VD_PASS) {
		vd_pass(min_t(u32, r.arg[0], VD_LEAVE_TICKS / HZ) * HZ);
		return 0;
	}
	mutex_lock(&vd_lock);
	ret = vd_do(&r);
	mutex_unlock(&vd_lock);
	return copy_to_user(there, &r, sizeof(r)) ? -EFAULT : ret;
}

static const struct file_operations vd_file = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vd_ioctl,
	.mmap = vd_mmap,
};

static struct miscdevice vd_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vfuzz_vduse",
	.fops = &vd_file,
};

/* It is a driver for the sake of the bus, which knows all vdpa devices, and takes none. */
static int vd_probe(struct vdpa_device *vdpa)
{
	return -ENODEV;
}

static struct vdpa_driver vd_driver = {
	.driver = { .name = "vfuzz_vduse" },
	.probe = vd_probe,
};

static int __init vd_start(void)
{
	int ret;

	if (!sync || !VD_KNOWN)
		return -EINVAL;
	init_completion(&vd_go);
	ret = vdpa_register_driver(&vd_driver);
	if (ret)
		return ret;
	ret = misc_register(&vd_misc);
	if (ret)
		vdpa_unregister_driver(&vd_driver);
	return ret;
}

static void __exit vd_exit(void)
{
	misc_deregister(&vd_misc);
	vdpa_unregister_driver(&vd_driver);
}

module_init(vd_start);
module_exit(vd_exit);
MODULE_DESCRIPTION("What the kernel does with a VDUSE device");
MODULE_LICENSE("GPL");
