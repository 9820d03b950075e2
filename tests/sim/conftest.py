# SPDX-License-Identifier: GPL-2.0-or-later
"""Hypothesis without a deadline: these tests run on shared machines."""

from hypothesis import settings

settings.register_profile("vfuzz", deadline=None)
settings.load_profile("vfuzz")
