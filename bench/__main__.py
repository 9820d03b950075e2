# SPDX-License-Identifier: GPL-2.0-or-later
"""Print, from one run, what an execution costs and where the time goes."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from vfuzz import api

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("engine", "instructions", "workers")
PAIRS = 7  # of a run of the floor and one over the seeds: their ratios have a median and a spread


@dataclass(frozen=True)
class Cost:
    """CPU time of a child process in seconds, what it printed, and its peak memory in MiB."""

    seconds: float
    output: str
    peak_mib: float


def run(*command: str) -> Cost:
    """Run a child to its end; CPU time, not wall time, so that other load matters less."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               cwd=ROOT)
    output, errors = _drain(process)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise click.ClickException(f"{' '.join(command)} failed:\n{errors[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, output, usage.ru_maxrss / 1024)


def _drain(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Read both pipes to their ends without reaping the child: wait4 has to see its usage."""
    chunks: dict[str, str] = {}
    assert process.stdout is not None
    assert process.stderr is not None
    streams = {"out": process.stdout, "err": process.stderr}
    threads = [
        threading.Thread(target=lambda n=name, s=stream: chunks.__setitem__(n, s.read()))
        for name, stream in streams.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return chunks["out"], chunks["err"]


def engine_cost(
    what: str, name: str, runs: int, corpus: Path
) -> tuple[float, dict[str, int], float]:
    """Microseconds an execution under the engine, its counters, peak memory in MiB. What starting
    costs is taken off: two runs of different length, the difference counts."""
    short = max(runs // 10, 1000)
    few = run(sys.executable, "-m", "bench.engine", what, name, str(short), str(corpus))
    many = run(sys.executable, "-m", "bench.engine", what, name, str(runs), str(corpus))
    a, b = json.loads(few.output or "{}"), json.loads(many.output or "{}")
    if not a or not b:
        raise click.ClickException("the engine process printed no counters: was it ended early?")
    executions = b["executions"] - a["executions"]
    micro = (many.seconds - few.seconds) / executions * 1e6
    return micro, {"executions": executions, "ops": b["ops"] - a["ops"]}, many.peak_mib


def noop_seconds(name: str, runs: int, corpus: Path) -> float:
    """CPU seconds of so many executions of the empty target, from where libFuzzer takes over."""
    code = (
        "import sys, tempfile, time; from vfuzz import api; from vfuzz.engine import driver\n"
        f"core = driver.prepare(api.target({name!r}), preloaded=False)\n"
        "import atheris\n"
        f"atheris.Setup(['floor', '-runs={runs}', '-seed=1', '-max_len=1040', '-verbosity=0',"
        f" tempfile.mkdtemp(), {str(corpus)!r}], core.noop, internal_libfuzzer=True)\n"
        "print(time.process_time(), flush=True)\n"
        "atheris.Fuzz()"
    )
    cost = run(sys.executable, "-c", code)
    return cost.seconds - float(cost.output)


def encoded_seeds(target: api.Target) -> dict[str, bytes]:
    """The committed seeds in binary form, by name."""
    folder = ROOT / "corpus" / target.name / "seeds"
    seeds = {
        path.stem: target.parse(path.read_text()).encode() for path in sorted(folder.glob("*.vf"))
    }
    if not seeds:
        raise click.ClickException(f"no seeds in corpus/{target.name}/seeds")
    return seeds


def direct_cost(target: api.Target, seeds: list[bytes], rounds: int) -> tuple[float, float]:
    """Microseconds an execution and ops an execution over the fixed corpus, without the engine, in
    all eras."""
    executions = ops = 0
    began = time.process_time()
    for era in range(len(target.eras)):
        done, done_ops = target.core.bench(seeds, rounds, era)
        executions += done
        ops += done_ops
    return (time.process_time() - began) / executions * 1e6, ops / executions


def corpus_cost(
    target: api.Target, seeds: list[bytes], corpus: Path, runs: int, rounds: int
) -> dict[str, float]:
    """What the engine costs without a target and what the target adds over its seeds, measured in
    turns: a processor's speed changes within seconds, so a ratio is one of two neighbours."""
    start = statistics.median(noop_seconds(target.name, 1000, corpus) for _ in range(3))
    direct_cost(target, seeds, max(rounds // 10, 1))
    floors, directs, ratios = [], [], []
    ops = 0.0
    for _ in range(PAIRS):
        floor = (noop_seconds(target.name, runs, corpus) - start) / (runs - 1000) * 1e6
        direct, ops = direct_cost(target, seeds, rounds)
        floors.append(floor)
        directs.append(direct)
        ratios.append((floor + direct) / floor)
    direct = statistics.median(directs)
    return {
        "floor_us": statistics.median(floors),
        "corpus_ops_per_execution": ops,
        "corpus_us": direct,
        "corpus_executions_per_s": 1e6 / direct,
        "corpus_ops_per_s": 1e6 / direct * ops,
        "corpus_ratio_to_floor": statistics.median(ratios),
        "corpus_ratio_lowest": min(ratios),
        "corpus_ratio_highest": max(ratios),
    }


def instructions(target: api.Target, corpus: Path) -> tuple[float, float]:
    """Instructions an op and an execution over the fixed corpus, by callgrind."""
    if shutil.which("valgrind") is None:
        raise click.ClickException("valgrind is not installed: 'apt-get install valgrind'")
    counts = []
    for rounds in (2, 12):
        code = (
            "from pathlib import Path; from vfuzz import api\n"
            f"t = api.target({target.name!r})\n"
            f"s = [p.read_bytes() for p in sorted(Path({str(corpus)!r}).iterdir())]\n"
            f"print(*t.core.bench(s, {rounds}, len(t.eras) - 1))"
        )
        with tempfile.NamedTemporaryFile() as out:
            result = subprocess.run(
                ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}",
                 sys.executable, "-c", code],
                capture_output=True, text=True, cwd=ROOT, check=False)
        found = re.search(r"Collected : (\d+)", result.stderr)
        if result.returncode or not found:
            raise click.ClickException(f"callgrind failed:\n{result.stderr[-1000:]}")
        executions, ops = map(int, result.stdout.split())
        counts.append((int(found[1]), executions, ops))
    (i0, e0, o0), (i1, e1, o1) = counts
    return (i1 - i0) / (o1 - o0), (i1 - i0) / (e1 - e0)


def workers_rate(name: str, jobs: int, seconds: int) -> float:
    """Executions a second of a campaign with so many workers."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "vfuzz", "run", name, str(Path(scratch) / "w"), "-j",
                   str(jobs), "--time", str(seconds), "--seed", "1", "--json"]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        if result.returncode not in (0, 1):
            raise click.ClickException(f"vfuzz run failed:\n{result.stderr[-2000:]}")
        summary = json.loads(result.stdout[result.stdout.index("{"):])
    return summary["status"]["executions"] / summary["status"]["seconds"]


@click.command()
@click.argument("name", default="virtio-net-rx")
@click.option("--quick", is_flag=True, help="Shorter runs: the same figures, noisier.")
@click.option("--skip", multiple=True, type=click.Choice(PARTS), help="Leave a part out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def main(name: str, quick: bool, skip: tuple[str, ...], as_json: bool) -> None:
    """Measure target NAME: the engine's floor, the target over its seeds and in a live campaign,
    instructions an op, one worker against two.

    \b
    Examples:
        python -m bench
        python -m bench ring --quick --skip workers
    """
    console = Console(stderr=as_json)
    target = api.target(name)
    seeds = encoded_seeds(target)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch)
        for stem, seed in seeds.items():
            (corpus / stem).write_bytes(seed)
        runs = 100_000 if quick else 400_000
        if "engine" not in skip:
            console.print(f"engine: {runs} executions of nothing, then of {name} ...")
            rounds = 40 if quick else 200
            figures |= corpus_cost(target, list(seeds.values()), corpus, runs, rounds)
            live, counts, peak = engine_cost("fuzz_one", name, runs, corpus)
            figures |= {
                "live_us": live,
                "live_executions_per_s": 1e6 / live,
                "live_ops_per_execution": counts["ops"] / counts["executions"],
                "live_ops_per_s": 1e6 / live * counts["ops"] / counts["executions"],
                "live_ratio_to_floor": live / figures["floor_us"],
                "live_peak_mib": peak,
            }
        if "instructions" not in skip:
            console.print("instructions: callgrind over the seeds ...")
            per_op, per_execution = instructions(target, corpus)
            figures |= {"instructions_per_op": per_op,
                        "instructions_per_execution": per_execution}
    if "workers" not in skip:
        seconds = 10 if quick else 30
        console.print(f"workers: campaigns of {seconds} s with one and with two ...")
        one = workers_rate(name, 1, seconds)
        two = workers_rate(name, 2, seconds)
        figures |= {"one_worker_executions_per_s": one, "two_workers_executions_per_s": two,
                    "two_workers_to_one": two / one}
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    table = Table(title=f"{name}, {len(seeds)} seeds")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for key, value in figures.items():
        table.add_row(key.replace("_", " "), f"{value:,.2f}" if value < 1000 else f"{value:,.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
