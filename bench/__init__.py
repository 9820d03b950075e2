# SPDX-License-Identifier: GPL-2.0-or-later
"""Speed and bug-finding benchmarks: `python -m bench --help`."""
