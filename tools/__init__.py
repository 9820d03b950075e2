# SPDX-License-Identifier: GPL-2.0-or-later
"""What builds and sets up vfuzz; nothing here is installed."""
