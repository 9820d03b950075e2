# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vfuzz.api import Target
from vfuzz.errors import UsageError

__all__ = ["FORBIDDEN", "Settings"]

#: libFuzzer arguments that would take the campaign out of the supervisor's hands.
FORBIDDEN = {
    "-fork": "use -j",
    "-jobs": "use -j",
    "-workers": "use -j",
    "-merge": "use vfuzz cmin",
    "-minimize_crash": "use vfuzz tmin",
    "-artifact_prefix": "findings are in the work directory",
    "-runs": "use --runs, before the --",
    "-max_total_time": "use --time, before the --",
    "-seed": "use --seed, before the --",
}


@dataclass(frozen=True)
class Settings:
    """What to run.

    eras         names; quirks: ids
    time_s, runs limits of the whole run, None for none; runs is the total over all workers
    seed         None takes one at random
    seeds        add the committed seed programs to the corpus
    minimise_s   limit for minimising one finding
    sample_s     between two rows of statistics
    focus        part of the target to keep to, "" for all of it
    kernel       that replays what the corpus takes in, "" for none

    Raises UsageError for what makes no sense.
    """

    target: Target
    workdir: Path
    eras: tuple[str, ...]
    quirks: tuple[str, ...] = ()
    workers: int = 1
    time_s: float | None = None
    runs: int | None = None
    seed: int | None = None
    stop_on_first: bool = False
    seeds: bool = True
    arguments: tuple[str, ...] = ()
    minimise_s: float = 20.0
    sample_s: float = 5.0
    focus: str = ""
    kernel: str = ""

    def __post_init__(self) -> None:
        if not self.eras:
            raise UsageError("a campaign needs an era")
        if self.focus:
            self.target.schema.focused(self.focus)
        for argument in self.arguments:
            remedy = FORBIDDEN.get(argument.partition("=")[0])
            if remedy is not None:
                raise UsageError(f"libFuzzer argument {argument} cannot be used here: {remedy}")
