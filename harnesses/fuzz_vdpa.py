#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""OSS-Fuzz target: Linux vhost-vdpa. Takes libFuzzer's arguments; see README.md."""

import sys

from vfuzz.engine.driver import harness

if __name__ == "__main__":
    harness("vdpa", sys.argv)
