# SPDX-License-Identifier: GPL-2.0-or-later
"""Replaying programs on the real kernel, in User-Mode Linux, and comparing what it says."""
