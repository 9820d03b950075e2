# SPDX-License-Identifier: GPL-2.0-or-later
"""One process of the benchmark: a target, or nothing at all, under libFuzzer for N executions.

    python -m bench.engine noop|fuzz_one TARGET RUNS CORPUS

Prints one JSON object when libFuzzer is done with RUNS: executions, ops.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

from vfuzz import api
from vfuzz.engine import driver


def main() -> None:
    what, name, runs, corpus = sys.argv[1:5]
    target = api.target(name)
    core = driver.prepare(target, preloaded=driver.libfuzzer_preloaded())
    total = int(runs)

    def on_pulse() -> None:
        counters = core.counters()
        if counters["executions"] >= total:
            print(json.dumps({k: counters[k] for k in ("executions", "ops")}), flush=True)
            os._exit(0)

    known = frozenset(f"{target.era_index(k.era)}:{k.signature}" for k in target.known())
    eras = tuple(range(len(target.eras)))
    core.configure(eras, 0, known, None, total, on_pulse)
    with tempfile.TemporaryDirectory() as scratch:
        import atheris

        # libFuzzer writes what it finds to the first directory; the committed one is only read
        arguments = ["bench", f"-runs={total + 1000}", "-seed=1", "-max_len=1040", "-verbosity=0",
                     scratch, corpus]
        atheris.Setup(arguments, getattr(core, what), internal_libfuzzer=True)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
