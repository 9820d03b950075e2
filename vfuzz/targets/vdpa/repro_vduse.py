# SPDX-License-Identifier: GPL-2.0-or-later
# ruff: noqa: E101 - C text is indented as the kernel's is
"""VDUSE's daemon as C, and devices that come and go: the program itself is the daemon.

It makes both VDUSE devices, answers requests in a thread of its own while calls wait for it, and
asks netlink to make vdpa devices of them. What only a driver inside the kernel does is in CANNOT.
"""

from __future__ import annotations

__all__ = ["BEHIND", "CALLS", "CANNOT", "NOTICES", "RUNTIME", "WHAT_CALLS", "WHAT_CANNOT"]

#: An op as C, as in repro.py.
CALLS = {
    "dev_del": "device_goes()",
    "dev_add": "{comes}",
    "daemon": "daemon_becomes({mode})",
    "vduse_read": "daemon_read({dev}, {efault})",
    "vduse_reply": "daemon_reply({dev}, {which}, {result})",
    "vduse_ioctl": "daemon_{what_call}",
    "vduse_file": "daemon_{what_call}",
    "bounce": "daemon_looks({page_at}, {off})",
    "umem": "daemon_memory({request}, {user}, {iova:#x}, {npages})",
    "coherent": "daemon_looks({page_at}, {off})",
}

_BESIDE = (
    "it is a request of a driver of the kernel, which waits beside the node's own calls; one of a"
    " process would hold the node's lock and change the device"
)

#: Ops that no call of a process can do on VDUSE, and why.
CANNOT = {
    "vduse_request": _BESIDE,
    "vduse_leave": _BESIDE,
    "driver_config": "it is a driver of the kernel that reads, where it likes",
}

#: (op, name of its enum argument `what`): why a process cannot do this one.
WHAT_CANNOT = {
    ("bounce", "MAP"): "it is a driver of the kernel that maps, where it likes",
    ("bounce", "UNMAP"): "it is a driver of the kernel that unmaps, when it likes",
    ("coherent", "ALLOC"): "it is a driver of the kernel that allocates, where it likes",
    ("coherent", "FREE"): "it is a driver of the kernel that frees, when it likes",
    ("coherent", "WRITE"): "it is a driver of the kernel that writes, what it likes",
}

#: Calls that notice when a device goes.
NOTICES = {"open": "open_if_there()", "close": "close_and_go()"}

#: An address behind the bounce pages of a device.
BEHIND = "bounce_size({dev}) + {at:#x}"

#: {what_call} of vduse_ioctl and vduse_file.
WHAT_CALLS = {
    "GET_FD": "range(VDUSE_IOTLB_GET_FD, {dev}, {start}, {last}, {space})",
    "GET_INFO": "range(VDUSE_IOTLB_GET_INFO, {dev}, {start}, {last}, {space})",
    "SET_CONFIG": "config({dev}, {off}, {len}, {byte})",
    "VQ_SETUP": "queue({dev}, {index}, {len}, {space})",
    "VQ_GET_INFO": "queue_info({dev}, {index})",
    "VQ_SETUP_KICKFD": "kickfd({dev}, {index})",
    "INJECT_IRQ": "interrupt({dev}, {index})",
    "INJECT_CONFIG_IRQ": "config_interrupt({dev})",
    "GET_FEATURES": "features({dev})",
    "OPEN": "open({dev}, {race})",
    "CLOSE": "close({dev})",
    "CREATE": "create({dev})",
    "DESTROY": "destroy({dev})",
    "ATTACH": "attach({dev})",
    "DETACH": "detach({dev})",
}

RUNTIME = r"""
#define CONTROL 113 /* /dev/vduse/control */

#define DAEMON 114 /* 114, 115: the files of the VDUSE devices */

#define DEVICE "vfuzz0"

#define VDUSE_SET_API_VERSION 0x40088101UL

#define VDUSE_CREATE_DEV 0x41508102UL

#define VDUSE_DESTROY_DEV 0x41008103UL

#define VDUSE_IOTLB_GET_FD 0xc0208110UL

#define VDUSE_DEV_GET_FEATURES 0x80088111UL

#define VDUSE_DEV_SET_CONFIG 0x40088112UL

#define VDUSE_DEV_INJECT_CONFIG_IRQ 0x8113UL

#define VDUSE_VQ_SETUP 0x40208114UL

#define VDUSE_VQ_GET_INFO 0xc0308115UL

#define VDUSE_VQ_SETUP_KICKFD 0x40088116UL

#define VDUSE_VQ_INJECT_IRQ 0x40048117UL

#define VDUSE_IOTLB_REG_UMEM 0x40308118UL

#define VDUSE_IOTLB_DEREG_UMEM 0x40308119UL

#define VDUSE_IOTLB_GET_INFO 0xc030811aUL

#define VDUSE_IOTLB_GET_FD2 0xc050811bUL

/* An attribute of netlink, and where the next one goes. */
static char *attribute(char *at, uint16_t type, const void *data, size_t size)
{
	struct nlattr head = { (uint16_t)(NLA_HDRLEN + size), type };
	memcpy(at, &head, sizeof(head));
	memcpy(at + NLA_HDRLEN, data, size);
	return at + NLA_HDRLEN + NLA_ALIGN(size);
}

/* One request of generic netlink: 0 or -errno; the first u16 attribute of its answer in `found`. */
static long generic_netlink(uint16_t family, uint8_t command, const char *attrs, size_t size,
			    uint16_t *found)
{
	struct {
		struct nlmsghdr head;
		struct genlmsghdr genl;
		char attrs[512];
	} ask = { { 0, family, NLM_F_REQUEST | (found ? 0 : NLM_F_ACK), 1, 0 },
		  { command, 1, 0 }, { 0 } };
	char reply[8192] = { 0 }, *at = reply + NLMSG_HDRLEN;
	struct nlmsghdr head;
	struct nlattr attr;
	int32_t error = 0;
	ssize_t got;
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	memcpy(ask.attrs, attrs, size);
	ask.head.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + GENL_HDRLEN + size);
	if (sock < 0 || send(sock, &ask, ask.head.nlmsg_len, 0) < 0)
		die("netlink");
	got = recv(sock, reply, sizeof(reply), 0);
	close(sock);
	if (got < NLMSG_HDRLEN + 4)
		die("netlink");
	memcpy(&head, reply, sizeof(head));
	if (head.nlmsg_type == NLMSG_ERROR) {
		memcpy(&error, at, sizeof(error));
		return error;
	}
	for (at += GENL_HDRLEN; found && at + NLA_HDRLEN < reply + got;
	     at += NLA_ALIGN(attr.nla_len)) {
		memcpy(&attr, at, sizeof(attr));
		if (attr.nla_len < NLA_HDRLEN)
			break;
		if (attr.nla_type == CTRL_ATTR_FAMILY_ID)
			memcpy(found, at + NLA_HDRLEN, sizeof(*found));
	}
	return 0;
}

/* A command of the family vdpa; what is 0 or NULL is not said. */
static long vdpa_command(uint8_t command, const char *parent, const char *name, uint64_t mac,
			 uint64_t features)
{
	char attrs[512], *end = attribute(attrs, CTRL_ATTR_FAMILY_NAME, "vdpa", 5);
	uint8_t bytes[6];
	uint16_t family = 0;
	int i;
	if (generic_netlink(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, attrs, end - attrs, &family) ||
	    !family) {
		errno = ENOENT;
		die("netlink family vdpa, modprobe vdpa");
	}
	end = attribute(attrs, 4, name, strlen(name) + 1);
	if (parent)
		end = attribute(end, 2, parent, strlen(parent) + 1);
	for (i = 0; i < 6; i++)
		bytes[i] = (uint8_t)(mac >> (40 - 8 * i));
	if (mac)
		end = attribute(end, 10, bytes, sizeof(bytes));
	if (features)
		end = attribute(end, 20, &features, sizeof(features));
	return generic_netlink(family, command, attrs, end - attrs, NULL);
}

static void say_to(const char *file, const char *what)
{
	int fd = open(file, O_WRONLY);
	if (fd >= 0 && write(fd, what, strlen(what)) < 0)
		errno = 0; /* it was so before */
	if (fd >= 0)
		close(fd);
}

/* The device to vhost_vdpa, whoever took it; waits for its node. */
static void bind_device(void)
{
	int i;
	say_to("/sys/bus/vdpa/devices/" DEVICE "/driver_override", "vhost_vdpa");
	say_to("/sys/bus/vdpa/drivers/virtio_vdpa/unbind", DEVICE);
	say_to("/sys/bus/vdpa/drivers/vhost_vdpa/bind", DEVICE);
	for (i = 0; i < 1000 && access(path, F_OK); i++)
		usleep(1000);
}

/* While the node is open the removal waits for its end, so that another process waits for it. */
static long device_goes(void)
{
	long pid;
	int i;
	if (access("/sys/bus/vdpa/devices/" DEVICE, F_OK) || access(path, F_OK))
		return -ENODEV;
	if (fcntl(NODE, F_GETFD) < 0)
		return vdpa_command(4, NULL, DEVICE, 0, 0);
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(NODE);
		close(DAEMON);
		close(DAEMON + 1);
		munmap((void *)AREA, AREA_PAGES * PAGE);
		vdpa_command(4, NULL, DEVICE, 0, 0);
		_exit(0);
	}
	for (i = 0; i < 1000 && !access(path, F_OK); i++)
		usleep(1000);
	return 0;
}

static long device_comes(uint64_t mac, uint64_t features)
{
	long ret = vdpa_command(3, parent_device, DEVICE, mac, features);
	if (ret == 0)
		bind_device();
	return ret;
}

/* Without a device there is no node. */
static long open_if_there(void)
{
	long ret = node_open();
	return ret == -ENOENT || ret == -ENXIO ? -ENODEV : ret;
}

/* A removal that waited for the close ends now. */
static long close_and_go(void)
{
	int i;
	long ret = node_close();
	for (i = 0; access(path, F_OK) && i < 1000; i++) {
		if (access("/sys/bus/vdpa/devices/" DEVICE, F_OK))
			break;
		usleep(1000);
	}
	return ret;
}

static const char *const vduse_names[2] = { "vfuzz0", "vfuzz1" };

static volatile int daemon_mode;

static void *volatile no_buffer;

/* Requests that were read by hand and wait for their answer, oldest first. */
static uint32_t requests_taken[2][64];

static int n_taken[2];

struct vduse_request {
	uint32_t type, id, reserved[4];
	union {
		struct {
			uint32_t index;
		} vq_state;
		uint8_t status;
		uint32_t padding[32];
	} u;
};

struct vduse_response {
	uint32_t id, result, reserved[4];
	struct {
		uint32_t index;
		uint16_t position[4];
	} vq_state;
	uint32_t padding[29];
};

struct vduse_queue_info {
	uint32_t index, num;
	uint64_t desc, driver, device;
	uint16_t position[4];
	uint8_t ready;
};

static long daemon_ioctl(int dev, unsigned long request, void *arg)
{
	return outcome_of(ioctl(DAEMON + dev, request, arg));
}

static void send_answer(int dev, const struct vduse_request *request, uint32_t id, uint32_t result)
{
	struct vduse_response response = { id, result, { 0 }, { 0, { 0 } }, { 0 } };
	struct vduse_queue_info info = { 0 };
	if (request && request->type == 0) {
		info.index = response.vq_state.index = request->u.vq_state.index;
		daemon_ioctl(dev, VDUSE_VQ_GET_INFO, &info);
		memcpy(response.vq_state.position, info.position, sizeof(info.position));
	}
	if (write(DAEMON + dev, &response, sizeof(response)) < 0)
		return; /* with a wrong id, or too late */
}

/* One request that waits: answered (mode 0), refused (1), left (2), answered wrongly (3), read
 * once into nothing (4). */
static void serve_request(int dev)
{
	struct vduse_request request;
	uint64_t features = 0;
	uint32_t id, result = daemon_mode == 1;
	if (daemon_mode == 4 && read(DAEMON + dev, no_buffer, sizeof(request)) >= 0)
		return;
	if (read(DAEMON + dev, &request, sizeof(request)) != (ssize_t)sizeof(request))
		return;
	id = request.id + (daemon_mode == 3 ? 1000 : 0);
	if (daemon_mode != 3 && request.type == 1 && request.u.status & 8 &&
	    daemon_ioctl(dev, VDUSE_DEV_GET_FEATURES, &features) == 0 &&
	    features & ~vduse_features)
		result = 1;
	send_answer(dev, &request, id, result);
}

/* The daemon: answers while calls wait. */
static void *serve_all(void *unused)
{
	struct pollfd files[2] = { { DAEMON, POLLIN, 0 }, { DAEMON + 1, POLLIN, 0 } };
	int dev;
	for (;;) {
		if (poll(files, 2, 10) <= 0 || daemon_mode == 2) {
			usleep(1000);
			continue;
		}
		for (dev = 0; dev < 2; dev++)
			if (files[dev].revents & POLLIN)
				serve_request(dev);
			else if (files[dev].revents)
				usleep(1000);
	}
	return unused;
}

static long daemon_becomes(int mode)
{
	daemon_mode = mode;
	return 0;
}

static long daemon_read(int dev, int efault)
{
	struct vduse_request request;
	ssize_t got = read(DAEMON + dev, efault ? no_buffer : &request, sizeof(request));
	if (got < 0)
		return -errno;
	if (n_taken[dev] < 64)
		requests_taken[dev][n_taken[dev]++] = request.id;
	return request.type;
}

/* To the oldest request that was read (0), the newest (1), none (2). */
static long daemon_reply(int dev, int which, uint32_t result)
{
	struct vduse_response response = { 0xffff, result, { 0 }, { 0, { 0 } }, { 0 } };
	int at = which == 0 ? 0 : n_taken[dev] - 1;
	if (which < 2 && n_taken[dev]) {
		response.id = requests_taken[dev][at];
		memmove(&requests_taken[dev][at], &requests_taken[dev][at + 1],
			(--n_taken[dev] - at) * sizeof(uint32_t));
	}
	return write(DAEMON + dev, &response, sizeof(response)) < 0 ? -errno : 0;
}

/* Bytes of a device's bounce pages; before 6.4 nobody could say how many. */
static uint64_t bounce_size(int dev)
{
	char file[96], said[32] = { 0 };
	int fd;
	snprintf(file, sizeof(file), "/sys/class/vduse/%s/bounce_size", vduse_names[dev]);
	fd = open(file, O_RDONLY);
	if (fd < 0)
		return 64UL << 20;
	if (read(fd, said, sizeof(said) - 1) < 0)
		die(file);
	close(fd);
	return strtoull(said, NULL, 10);
}

/* The first mapping that overlaps: its file (which is closed again), or what it can do. */
static long daemon_range(unsigned long request, int dev, uint64_t start, uint64_t last,
			 uint32_t asid)
{
	struct {
		uint64_t offset, start, last;
		uint8_t perm, padding[7];
		uint32_t asid, reserved[11];
	} entry = { 0, start, last, 0, { 0 }, asid, { 0 } };
	struct {
		uint64_t start, last, capability;
		uint32_t asid, reserved[5];
	} info = { start, last, 0, asid, { 0 } };
	long ret;
	if (request == VDUSE_IOTLB_GET_INFO) {
		ret = daemon_ioctl(dev, request, &info);
		if (ret == 0)
			tell("capability", info.capability & 1);
		return ret;
	}
	ret = daemon_ioctl(dev, vduse_api ? VDUSE_IOTLB_GET_FD2 : request, &entry);
	if (ret >= 0)
		close((int)ret);
	return ret < 0 ? ret : 0;
}

static long daemon_config(int dev, uint32_t off, uint32_t len, uint8_t value)
{
	static struct {
		uint32_t off, len;
		uint8_t bytes[65536];
	} arg;
	arg.off = off;
	arg.len = len;
	memset(arg.bytes, value, sizeof(arg.bytes));
	return daemon_ioctl(dev, VDUSE_DEV_SET_CONFIG, &arg);
}

static long daemon_queue(int dev, uint32_t index, uint16_t max, uint32_t group)
{
	struct {
		uint32_t index;
		uint16_t max, reserved;
		uint32_t group;
		uint16_t reserved2[10];
	} arg = { index, max, 0, group, { 0 } };
	return daemon_ioctl(dev, VDUSE_VQ_SETUP, &arg);
}

static long daemon_queue_info(int dev, uint32_t index)
{
	struct vduse_queue_info info = { 0 };
	long ret;
	info.index = index;
	ret = daemon_ioctl(dev, VDUSE_VQ_GET_INFO, &info);
	if (ret)
		return ret;
	tell("num", info.num);
	tell("desc", (long long)info.desc);
	tell("driver", (long long)info.driver);
	tell("device", (long long)info.device);
	tell("ready", info.ready);
	return ret;
}

static long daemon_kickfd(int dev, uint32_t index)
{
	int32_t arg[2] = { (int32_t)index, eventfd(0, EFD_NONBLOCK) };
	long ret = daemon_ioctl(dev, VDUSE_VQ_SETUP_KICKFD, arg);
	close(arg[1]);
	return ret;
}

static long daemon_interrupt(int dev, uint32_t index)
{
	return daemon_ioctl(dev, VDUSE_VQ_INJECT_IRQ, &index);
}

static long daemon_config_interrupt(int dev)
{
	return daemon_ioctl(dev, VDUSE_DEV_INJECT_CONFIG_IRQ, NULL);
}

static long daemon_features(int dev)
{
	uint64_t features = 0;
	long ret = daemon_ioctl(dev, VDUSE_DEV_GET_FEATURES, &features);
	if (ret == 0)
		tell("features", (long long)features);
	return ret;
}

static void *destroy_device(void *name)
{
	char all[256] = { 0 };
	strcpy(all, name);
	ioctl(CONTROL, VDUSE_DESTROY_DEV, all);
	return NULL;
}

/* race: somebody destroys the device at the same time; which of the two is first is chance. */
static long daemon_open(int dev, int race)
{
	char file[64];
	pthread_t other;
	long ret = 0;
	int fd;
	snprintf(file, sizeof(file), "/dev/vduse/%s", vduse_names[dev]);
	if (race && pthread_create(&other, NULL, destroy_device, (void *)vduse_names[dev]))
		die("thread");
	fd = open(file, O_RDWR | O_NONBLOCK);
	if (fd < 0)
		ret = errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
	if (race)
		pthread_join(other, NULL);
	if (fd >= 0 && dup2(fd, DAEMON + dev) < 0)
		die("files");
	if (fd >= 0)
		close(fd);
	n_taken[dev] = 0;
	return ret;
}

static long daemon_close(int dev)
{
	return outcome_of(close(DAEMON + dev));
}

/* And what a daemon does then: it wants few bounce pages, opens the device and says how large its
 * rings are. Requests that nobody answers end in a second here, not in thirty. */
static long daemon_create(int dev)
{
	struct {
		char name[256];
		uint32_t vendor, device;
		uint64_t features;
		uint32_t vqs, align, groups, spaces, reserved[11], config_size;
		uint8_t bytes[24];
	} arg = { .device = 2, .features = vduse_features, .vqs = 2, .align = 4096,
		  .groups = vduse_api ? vduse_groups : 0, .spaces = vduse_api ? vduse_spaces : 0,
		  .config_size = 24 };
	char file[96];
	uint32_t q;
	long ret;
	strcpy(arg.name, vduse_names[dev]);
	ret = outcome_of(ioctl(CONTROL, VDUSE_CREATE_DEV, &arg));
	if (ret == 0)
		ret = daemon_open(dev, 0);
	for (q = 0; ret == 0 && q < 2; q++)
		ret = daemon_queue(dev, q, 256, vduse_api ? q % vduse_groups : 0);
	snprintf(file, sizeof(file), "/sys/class/vduse/%s/msg_timeout", vduse_names[dev]);
	say_to(file, "1");
	snprintf(file, sizeof(file), "/sys/class/vduse/%s/bounce_size", vduse_names[dev]);
	say_to(file, "1048576");
	return ret;
}

static long daemon_destroy(int dev)
{
	char name[256] = { 0 };
	strcpy(name, vduse_names[dev]);
	return outcome_of(ioctl(CONTROL, VDUSE_DESTROY_DEV, name));
}

/* A driver of the kernel comes to device 1: virtio_vdpa, if it is loaded. */
static long daemon_attach(int dev)
{
	char file[64];
	snprintf(file, sizeof(file), "/dev/vduse/%s", vduse_names[dev]);
	if (access(file, F_OK))
		return -ENODEV;
	return vdpa_command(3, "vduse", vduse_names[dev], 0, 0);
}

static long daemon_detach(int dev)
{
	return dev ? vdpa_command(4, NULL, vduse_names[dev], 0, 0) : -EBUSY;
}

/* A byte of a page of device 1. */
static long daemon_looks(uint64_t page, uint32_t off)
{
	struct {
		uint64_t offset, start, last;
		uint8_t perm, padding[7];
	} entry = { 0, page, page, 0, { 0 } };
	volatile uint8_t *at;
	int fd;
	if (fcntl(DAEMON + 1, F_GETFD) < 0)
		return -EBADF;
	fd = ioctl(DAEMON + 1, VDUSE_IOTLB_GET_FD, &entry);
	if (fd < 0)
		return -EFAULT;
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd,
		  (off_t)(entry.offset + page - entry.start));
	close(fd);
	if (at == MAP_FAILED)
		return -errno;
	signal(SIGBUS, on_fault);
	if (sigsetjmp(fault, 1))
		return -EFAULT;
	tell("byte", at[off]);
	return 0;
}

static long daemon_memory(unsigned long request, uint64_t uaddr, uint64_t iova, uint64_t pages)
{
	struct {
		uint64_t uaddr, iova, size;
		uint32_t asid, reserved[5];
	} arg = { uaddr, iova, pages * PAGE, 0, { 0 } };
	return daemon_ioctl(1, request, &arg);
}

/* Another daemon, with devices of its own. */
static long daemon_comes(void)
{
	int dev;
	if (!access("/sys/bus/vdpa/devices/" DEVICE, F_OK))
		return -EEXIST;
	for (dev = 0; dev < 2; dev++) {
		daemon_close(dev);
		daemon_destroy(dev);
		if (daemon_create(dev))
			die("VDUSE devices vfuzz0 and vfuzz1");
	}
	return device_comes(0, 0);
}

/* Both VDUSE devices, the daemon, and the vdpa device that the node is of. */
static void start_daemon(void)
{
	uint64_t api = vduse_api;
	pthread_t thread;
	long ret;
	int fd = open("/dev/vduse/control", O_RDWR);
	if (fd < 0 || dup2(fd, CONTROL) < 0)
		die("/dev/vduse/control, modprobe vduse");
	close(fd);
	if (ioctl(CONTROL, VDUSE_SET_API_VERSION, &api))
		die("the version of VDUSE's API");
	if (daemon_create(0) || daemon_create(1))
		die("VDUSE devices vfuzz0 and vfuzz1");
	if (pthread_create(&thread, NULL, serve_all, NULL))
		die("thread");
	ret = device_comes(0, 0);
	if (ret) {
		errno = (int)-ret;
		die("a vdpa device of vfuzz0");
	}
}

/* So that the next program finds nothing of this one. */
static void end_daemon(void)
{
	daemon_mode = 0;
	close(NODE);
	vdpa_command(4, NULL, vduse_names[0], 0, 0);
	vdpa_command(4, NULL, vduse_names[1], 0, 0);
	daemon_close(0);
	daemon_close(1);
	daemon_destroy(0);
	daemon_destroy(1);
}
"""
