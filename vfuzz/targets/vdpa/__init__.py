# SPDX-License-Identifier: GPL-2.0-or-later
"""vdpa: vhost-vDPA's address spaces, messages, pinning, ioctls, rings, and devices behind it."""

NAME = "vdpa"
SUMMARY = "Linux vhost-vdpa, vringh, the vDPA simulator's network device, VDUSE"
#: Which upstream behaviour the model follows; the last one is the default.
ERAS = ("linux-6.1", "linux-6.12", "linux-7.0")
