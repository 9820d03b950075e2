# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs: schema, binary codec, text form, generator, mutator, minimiser. Knows no target."""
