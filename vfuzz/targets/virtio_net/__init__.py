# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-net-rx: the receive side of Linux' virtio_net driver over split and packed virtqueues."""

NAME = "virtio-net-rx"
SUMMARY = "Linux virtio_net receive: small, big and mergeable buffers, refill, NAPI, life cycle"
#: Which upstream behaviour the model follows; the last one is the default.
ERAS = ("linux-6.1", "linux-6.12", "linux-7.2")
