# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m vfuzz` is the command line."""

from vfuzz.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
