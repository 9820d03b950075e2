# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of vdpa share."""

from __future__ import annotations

import pytest

import vfuzz
from tests.needs import need

need("vfuzz.targets.vdpa._core")


@pytest.fixture(scope="session")
def target() -> vfuzz.Target:
    return vfuzz.target("vdpa")
