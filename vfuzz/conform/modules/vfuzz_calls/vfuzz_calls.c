// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many system calls of a process for the price of one, and parameters that modules only show.
 *
 * A system call of User-Mode Linux is a dozen of the host's. A process that knows its next calls
 * writes them down, and they are made one after the other by the functions that it would have
 * called, with its own memory and files. What the kernel does on the way back to a process is done
 * behind each: files that were closed are let go, and others may run.
 *
 * Where the kernel has these things is said by who loads the module, from System.map.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>

/* one call; what is special has a number above all others */
struct vc_call {
	__u32 number;
	__u32 skip; /* calls behind it that are passed over when it fails */
	__u64 args[6];
	__s64 ret;
};

struct vc_calls {
	__u64 calls; /* of the process, which also finds the results there */
	__u64 count;
};

struct vc_set {
	char name[64]; /* of a parameter, as on the command line */
	char value[64];
};

#define VC_DO _IOWR('C', 1, struct vc_calls)
#define VC_SET _IOWR('C', 2, struct vc_set)

/* of x86-64, whose headers a module of User-Mode Linux cannot have */
enum { VC_OPEN = 2, VC_CLOSE = 3, VC_DUP2 = 33, VC_LAST = 334 };

#define VC_SPECIAL 0x1000
enum {
	VC_OPEN_AT = VC_SPECIAL, /* path, flags, the number that the file is to have */
	VC_COPY, /* to, from, bytes: of the process' memory */
	VC_PINNED, /* pages that the process is charged for */
	VC_PINS, /* page pins of everybody, taken and not given back */
};

#define VC_COUNT_MAX 65536
#define VC_COPY_MAX 65536

typedef long (*vc_function)(long, long, long, long, long, long);

static unsigned long table;
static unsigned long task_work;
static unsigned long params;
static unsigned long params_end;
module_param(table, ulong, 0);
module_param(task_work, ulong, 0);
module_param(params, ulong, 0);
module_param(params_end, ulong, 0);
MODULE_PARM_DESC(table, "Address of sys_call_table");
MODULE_PARM_DESC(task_work, "Address of task_work_run");
MODULE_PARM_DESC(params, "Address of __start___param");
MODULE_PARM_DESC(params_end, "Address of __stop___param");

static long vc_system(unsigned int number, long a, long b, long c, long d, long e, long f)
{
	const vc_function *functions = (const vc_function *)table;

	return functions[number](a, b, c, d, e, f);
}

/* an open file with the number that it is to have */
static long vc_open_at(const __u64 *args)
{
	long fd = vc_system(VC_OPEN, args[0], args[1], 0, 0, 0, 0);
	long ret;

	if (fd < 0 || fd == args[2])
		return fd < 0 ? fd : 0;
	ret = vc_system(VC_DUP2, fd, args[2], 0, 0, 0, 0);
	vc_system(VC_CLOSE, fd, 0, 0, 0, 0, 0);
	return ret < 0 ? ret : 0;
}

static long vc_copy(const __u64 *args)
{
	size_t n = args[2];
	long ret = -EFAULT;
	void *bytes;

	if (n > VC_COPY_MAX)
		return -EINVAL;
	bytes = kmalloc(n, GFP_KERNEL);
	if (!bytes)
		return -ENOMEM;
	if (!copy_from_user(bytes, (void __user *)(unsigned long)args[1], n) &&
	    !copy_to_user((void __user *)(unsigned long)args[0], bytes, n))
		ret = 0;
	kfree(bytes);
	return ret;
}

static long vc_one(const struct vc_call *call)
{
	const __u64 *a = call->args;

	switch (call->number) {
	case VC_OPEN_AT:
		return vc_open_at(a);
	case VC_COPY:
		return vc_copy(a);
	case VC_PINNED:
		return atomic64_read(&current->mm->pinned_vm);
	case VC_PINS:
		return global_node_page_state(NR_FOLL_PIN_ACQUIRED) -
		       global_node_page_state(NR_FOLL_PIN_RELEASED);
	}
	if (call->number > VC_LAST)
		return -ENOSYS;
	return vc_system(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long vc_do(const struct vc_calls *calls)
{
	struct vc_call __user *at = (void __user *)(unsigned long)calls->calls;
	struct vc_call call;
	__u64 i = 0;

	if (calls->count > VC_COUNT_MAX)
		return -EINVAL;
	while (i < calls->count) {
		if (copy_from_user(&call, at + i, sizeof(call)))
			return -EFAULT;
		call.ret = vc_one(&call);
		((void (*)(void))task_work)();
		cond_resched();
		if (put_user(call.ret, &at[i].ret))
			return -EFAULT;
		i += 1 + (call.ret < 0 ? call.skip : 0);
	}
	return 0;
}

static long vc_set(const struct vc_set *set)
{
	const struct kernel_param *param;

	for (param = (void *)params; param < (const struct kernel_param *)params_end; param++)
		if (!strcmp(param->name, set->name))
			return param->ops->set(set->value, param);
	return -ENOENT;
}

static long vc_ioctl(struct file *file, unsigned int cmd, unsigned long where)
{
	struct vc_calls calls;
	struct vc_set set;

	switch (cmd) {
	case VC_DO:
		if (copy_from_user(&calls, (void __user *)where, sizeof(calls)))
			return -EFAULT;
		return vc_do(&calls);
	case VC_SET:
		if (copy_from_user(&set, (void __user *)where, sizeof(set)))
			return -EFAULT;
		set.name[sizeof(set.name) - 1] = set.value[sizeof(set.value) - 1] = 0;
		return vc_set(&set);
	}
	return -ENOTTY;
}

static const struct file_operations vc_file = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vc_ioctl,
};

static struct miscdevice vc_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vfuzz_calls",
	.fops = &vc_file,
};

static int __init vc_start(void)
{
	if (!table || !task_work || !params || !params_end)
		return -EINVAL;
	return misc_register(&vc_misc);
}

static void __exit vc_end(void)
{
	misc_deregister(&vc_misc);
}

module_init(vc_start);
module_exit(vc_end);
MODULE_DESCRIPTION("Many system calls at once");
MODULE_LICENSE("GPL");
