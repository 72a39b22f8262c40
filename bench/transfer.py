"""What the team's records are worth: each network's layers, tuned with and without the records of the other two.

python -m bench.transfer --table FILE [--seconds 150] [--json FILE]

First every choice of every layer is measured, into FILE; after --seconds it stops, and goes on when it is run again.
Then searches are replayed against the measured table: they propose and learn as in a job, and a trial is a look into
the table. Records are those that a search without any would have made before its plateau. A layer that occurs in
another network too is left out of the records that its own search is given.

One thread, the strongest ISA path of this host.
"""

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from tilewright.contract.attempts import History, Neighbour, NeighbourRecord
from tilewright.contract.candidates import Candidate, Choice
from tilewright.contract.jobs import DEFAULT_TRIALS
from tilewright.contract.records import FailureKind
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.workloads.similarity import distance, position_of
from tilewright.workloads.zoo import NETWORKS, network_workloads
from tilewright_kernels.conv2d.spaces import space_of
from tilewright_kernels.isa.host import this_host
from tilewright_kernels.runtime.build import default_candidate
from tilewright_tuning.budget import Budget, Spending
from tilewright_tuning.cores import Cores
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.search import search_for
from tilewright_tuning.trials import Failed, Measured, Trial, run_trials
from tilewright_tuning.tuning import NOTHING_KNOWN, Proposals, search

TARGET = Target(isa=this_host().isas[0])
AFTER = (0, 4, 8, 16)
"""Trials. After 0 there is the first proposal, which is what would be served without any."""

SEEDS = 3
NEAREST, RECORDS_OF_EACH = 24, 64
"""As many as the service gives."""


@dataclass(frozen=True)
class Layer:
    """Every choice of a workload, measured."""

    workload: Workload
    space: str
    choices: dict[str, Choice]
    """By candidate."""
    latencies_us: dict[str, float]

    @property
    def best_us(self) -> float:
        return min(self.latencies_us.values())

    @cached_property
    def networks(self) -> set[str]:
        return {name for name in NETWORKS if self.workload in [each for each, _ in network_workloads(name)]}

    @cached_property
    def as_neighbour(self) -> Neighbour:
        """With the records of a search that knew nothing, up to its plateau."""
        measured = replay_search(self, NOTHING_KNOWN, 0, Budget(DEFAULT_TRIALS))
        best_first = sorted(measured, key=lambda trial: trial.latency_us)[:RECORDS_OF_EACH]
        records = [
            NeighbourRecord(choice=self.choices[each.candidate.id], latency_us=each.latency_us) for each in best_first
        ]
        return Neighbour(workload=self.workload, records=records)


@dataclass(frozen=True)
class Result:
    """One layer under one condition: its share of the final best after each number of trials, mean over seeds."""

    network: str
    layer: str
    space: str
    choices: int
    records: str
    neighbours: int
    shares: dict[int, float]


def replay_search(layer: Layer, history: History, seed: int, budget: Budget) -> list[Measured]:
    """The trials of a search against the table."""
    proposals = Proposals(search_for(layer.workload, TARGET, history, seed), Spending(budget))
    trials = search(proposals, lambda candidates: look_up_trials(layer, candidates))
    return [trial for trial in trials if isinstance(trial, Measured)]


def look_up_trials(layer: Layer, candidates: Iterable[Candidate]) -> Iterator[Trial]:
    """As in a job, a trial comes to its end when the next is under way already."""
    under_way: Candidate | None = None
    for candidate in chain(candidates, [None]):
        if under_way is not None:
            yield look_up_trial(layer, under_way)
        under_way = candidate


def look_up_trial(layer: Layer, candidate: Candidate) -> Trial:
    latency_us = layer.latencies_us.get(candidate.id)
    if latency_us is None:
        return Failed(candidate, 0.0, FailureKind.RUN_ERROR, "it is not in the table")
    return Measured(candidate, [latency_us], 0.0, slowdown=1.0)


def shares(layer: Layer, history: History, seed: int) -> dict[int, float]:
    latencies = [trial.latency_us for trial in replay_search(layer, history, seed, Budget(max(AFTER)))]
    return {trials: layer.best_us / min(latencies[: max(trials, 1)]) for trials in AFTER}


def neighbours(layer: Layer, others: Sequence[Layer]) -> list[Neighbour]:
    here = position_of(layer.workload)
    return [
        other.as_neighbour
        for other in sorted(others, key=lambda other: distance(here, position_of(other.workload)))[:NEAREST]
    ]


def result(network: str, layer: Layer, records: str, others: Sequence[Layer]) -> Result:
    history = History(records=[], incumbent=None, neighbours=neighbours(layer, others))
    found = [shares(layer, history, seed) for seed in range(SEEDS)]
    means = {trials: statistics.fmean(each[trials] for each in found) for trials in AFTER}
    same_space = sum(other.space == layer.space for other in others)
    return Result(network, layer.workload.name, layer.space, len(layer.latencies_us), records, same_space, means)


def compare(layers: Sequence[Layer]) -> Iterator[Result]:
    """Each network left out in turn."""
    by_workload = {layer.workload: layer for layer in layers}
    for network in NETWORKS:
        team = [layer for layer in layers if layer.networks != {network}]
        own: list[Layer] = []
        for workload, _ in network_workloads(network):
            layer = by_workload[workload]
            without_itself = [other for other in team if other is not layer]
            yield result(network, layer, "none", [])
            yield result(network, layer, "team", without_itself)
            yield result(network, layer, "team and job", [*without_itself, *(x for x in own if x not in team)])
            own.append(layer)


def conclude(results: Sequence[Result]) -> None:
    kinds = {"all layers": results}
    kinds |= {
        f"{space} only": [each for each in results if each.space == space]
        for space in sorted({each.space for each in results})
    }
    for kind, selected in kinds.items():
        print(f"\n{kind}, share of the final best after {', '.join(map(str, AFTER))} trials: median (worst)")
        for records in ("none", "team", "team and job"):
            rows = [each.shares for each in selected if each.records == records]
            cells = [[row[trials] for row in rows] for trials in AFTER]
            text = "   ".join(f"{statistics.median(cell):6.1%} ({min(cell):6.1%})" for cell in cells)
            print(f"  {records:13} {len(rows):3} layers   {text}")


def measure(pool: EvaluatorPool, workload: Workload) -> dict[str, Any]:
    """Every choice of a workload, in an order of chance, so that drift of the clock favours none."""
    candidates: list[Candidate] = list(iter(search_for(workload, TARGET, NOTHING_KNOWN).propose, None))
    random.Random(0).shuffle(candidates)
    pool.prepare(workload, TARGET)
    trials = [trial for trial in run_trials(pool, candidates) if isinstance(trial, Measured)]
    return {
        "workload": workload.model_dump(mode="json"),
        "space": candidates[0].space,
        "measured": [
            {"candidate": trial.candidate.id, "choice": trial.candidate.model_dump(), "latency_us": trial.latency_us}
            for trial in trials
        ],
    }


def fill(table: dict[str, Any], path: Path, seconds: float) -> bool:
    """Measure what the table lacks; whether nothing is left."""
    workloads = {workload.id: workload for name in NETWORKS for workload, _ in network_workloads(name)}
    lacking = [workload for workload in workloads.values() if not is_measured(workload, table)]
    if not lacking:
        return True
    started = time.monotonic()
    cores = Cores.of_this_process(TARGET.threads)
    with EvaluatorPool(cores) as pool:
        if cores.spare:
            os.sched_setaffinity(0, cores.spare)
        for workload in lacking:
            if time.monotonic() - started > seconds:
                return False
            table[workload.id] = measure(pool, workload)
            path.write_text(json.dumps(table))
            print(f"{workload.name:48} {len(table[workload.id]['measured']):4} choices", flush=True)
    return True


def is_measured(workload: Workload, table: dict[str, Any]) -> bool:
    """Whether the table has it, in the space as it is now."""
    default = default_candidate(workload, space_of(workload, TARGET.isa), TARGET)
    return default.id in {each["candidate"] for each in table.get(workload.id, {"measured": []})["measured"]}


def as_layer(entry: dict[str, Any]) -> Layer:
    choices = {each["candidate"]: Choice.model_validate(each["choice"]) for each in entry["measured"]}
    latencies = {each["candidate"]: each["latency_us"] for each in entry["measured"]}
    return Layer(Workload.model_validate_json(json.dumps(entry["workload"])), entry["space"], choices, latencies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = json.loads(options.table.read_text()) if options.table.exists() else {}
    if not fill(table, options.table, options.seconds):
        raise SystemExit("not everything is measured yet: run it again")
    wanted = {workload.id for name in NETWORKS for workload, _ in network_workloads(name)}
    layers = [as_layer(entry) for name, entry in table.items() if name in wanted]
    shared = [layer for layer in layers if len(layer.networks) > 1]
    choices = sum(len(layer.latencies_us) for layer in layers)
    print(f"{this_host().host_class}, {TARGET.isa}, one thread: {len(layers)} layers, {choices} choices measured;")
    print(f"{len(shared)} layers occur in more than one network, and are no records for themselves")
    results = list(compare(layers))
    conclude(results)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
