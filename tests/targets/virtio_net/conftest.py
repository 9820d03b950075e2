# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of virtio-net-rx share."""

from __future__ import annotations

import pytest

import vfuzz
from tests.needs import need

need("vfuzz.targets.virtio_net._core")


@pytest.fixture(scope="session")
def target() -> vfuzz.Target:
    return vfuzz.target("virtio-net-rx")
