# SPDX-License-Identifier: GPL-2.0-or-later
"""What PyInstaller cannot see of vfuzz by itself.

Targets are found by looking and imported by name, compiled modules import without a statement that
could be analysed, the mutator's stub is a library that nothing imports, and reports read the lines
of the Cython sources.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, get_package_paths

_package = get_package_paths("vfuzz")[1]

hiddenimports = [
    *collect_submodules("vfuzz.program"),
    *collect_submodules("vfuzz.targets"),
    "vfuzz.sanitizer.registry",
    "vfuzz.sanitizer.report",
    "ctypes",
]
binaries = [(f"{_package}/program/_preload.so", "vfuzz/program")]
datas = collect_data_files("vfuzz", includes=["**/*.pyx", "**/*.pxi"])
