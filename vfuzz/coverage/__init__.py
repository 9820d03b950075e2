# SPDX-License-Identifier: GPL-2.0-or-later
"""Line coverage of a target's Cython sources by a corpus, and how often each check was asked.

    coverage = measure(target, runs_of(target, paths))
"""

from vfuzz.coverage.measure import Coverage, File, Run, committed, measure, runs_of

__all__ = ["Coverage", "File", "Run", "committed", "measure", "runs_of"]
