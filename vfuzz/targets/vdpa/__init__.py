# SPDX-License-Identifier: GPL-2.0-or-later
"""vdpa: vhost-vDPA's address spaces, IOTLB messages, pinning, user mappings and ioctls."""

NAME = "vdpa"
SUMMARY = "Linux vhost-vdpa: address spaces, IOTLB messages, pinning, ioctls (no rings yet)"
#: Which upstream behaviour the model follows; the last one is the default.
ERAS = ("linux-6.1", "linux-6.12", "linux-7.0")
