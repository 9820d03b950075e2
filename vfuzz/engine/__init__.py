# SPDX-License-Identifier: GPL-2.0-or-later
"""Running campaigns: atheris in worker processes over one resumable work directory."""
