"""`docs/reliability.md`, made of all results: what was done, how often, what was lost, and the worst times."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from .machine import ROOT
from .results import Figure, Run, read_runs

REPORT = ROOT / "docs/reliability.md"
HEAD = """\
# What was done to it, and what was lost

Written by `python -m tests.cluster` and `python -m bench.load` from `bench/results/reliability.jsonl`; do not edit.
Each run starts real processes, does one thing to them, and has the checker of histories (`tests/cluster/history.py`)
compare what was acknowledged to clients and attempts with what is in the database at the end: no acknowledged write
lost, none twice, ends that stay, one authority a workload, no two measurements on a core at once, every job ended or
says why it waits, cancels within 7 s. A seed repeats a run: `python -m tests.cluster --scenario NAME --seed SEED`.
"""


def write_report(runs: Iterable[Run] | None = None, path: Path = REPORT) -> None:
    path.write_text(report(list(read_runs() if runs is None else runs)))


def report(runs: Sequence[Run]) -> str:
    faults, loads = ([run for run in runs if run.name.startswith("load.") is load] for load in (False, True))
    return "\n".join([HEAD, *_section("Faults", faults), *_section("Load", loads), *_losses(runs)])


def _section(title: str, runs: Sequence[Run]) -> list[str]:
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.name.removeprefix("load."), run.database].append(run)
    rows = [_row(*key, groups[key]) for key in sorted(groups)]
    head = "| what | database | runs | seeds | in all | good | worst |\n|---|---|---|---|---|---|---|"
    return [f"## {title}\n", head, *rows, ""]


def _row(name: str, database: str, runs: Sequence[Run]) -> str:
    counts: Counter[str] = Counter()
    for run in runs:
        counts.update(run.counts)
    done = ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))
    good = sum(run.is_good for run in runs)
    seeds = _ranges(sorted({run.seed for run in runs}))
    cells = [name, database, str(len(runs)), seeds, done, f"{good} of {len(runs)}", _worst(runs)]
    return f"| {' | '.join(cells)} |"


def _worst(runs: Sequence[Run]) -> str:
    figures: dict[str, list[Figure]] = defaultdict(list)
    for run in runs:
        for what, figure in run.figures.items():
            figures[what].append(figure)
    return "; ".join(_figure(what, found) for what, found in figures.items())


def _figure(what: str, found: Sequence[Figure]) -> str:
    key = min if found[0].at_least is not None else max
    worst = key(found, key=lambda figure: figure.value)
    bound = f" ({worst.bound})" if worst.bound else ""
    return f"{what} {worst.value:.3g} {worst.unit}{bound}"


def _losses(runs: Sequence[Run]) -> list[str]:
    bad = [run for run in runs if not run.is_good]
    if not bad:
        return ["## What was lost\n", "Nothing, in any run.", ""]
    return ["## What was lost\n", *(line for run in bad for line in _loss(run)), ""]


def _loss(run: Run) -> list[str]:
    late = [
        f"{name}: {each.value:.3g} {each.unit}, {each.bound}" for name, each in run.figures.items() if not each.holds
    ]
    title = f"- `{run.name}`, {run.database}, seed {run.seed}, {run.at[:10]}, {run.commit}:"
    return [title, *(f"  - {fault}"[:118] for fault in [*run.faults[:5], *late])]


def _ranges(seeds: Sequence[int]) -> str:
    """`0-4, 7`."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
