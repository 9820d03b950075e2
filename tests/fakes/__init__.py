# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets in plain Python, for tests of everything around a target: no compiler, no simulator."""
