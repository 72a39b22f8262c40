"""Does the plateau stop give up early? Tunes each layer with the default stop, then goes on to five times the trials.

python -m bench.plateau [--network resnet18] [--first 0] [--layers 10] [--json FILE]

The best candidates of both are measured interleaved at the end. The target is a gap of at most 2%.
"""

import argparse
import json
import os
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from tilewright.contract.attempts import History, KnownRecord
from tilewright.contract.candidates import candidate_fields
from tilewright.contract.jobs import DEFAULT_TRIALS
from tilewright.contract.records import RecordState
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.workloads.zoo import NETWORKS, network_workloads
from tilewright_kernels.isa.host import this_host
from tilewright_tuning.budget import Budget
from tilewright_tuning.cores import Cores
from tilewright_tuning.finals import FINALISTS, remeasure
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.trials import Measured, Trial
from tilewright_tuning.tuning import NOTHING_KNOWN, tune

TIMES = 5
TARGET_GAP = 0.02


@dataclass(frozen=True)
class Layer:
    """`gap` is by how much the default stop's best is slower than the best of all trials."""

    name: str
    trials: int
    stop_reason: str
    trials_in_all: int
    latency_us: float
    best_latency_us: float
    gap: float


def as_known(trial: Trial) -> KnownRecord:
    fields = candidate_fields(trial.candidate)
    if isinstance(trial, Measured):
        return KnownRecord(**fields, state=RecordState.MEASURED, latency_us=trial.latency_us)
    return KnownRecord(**fields, state=RecordState.FAILED, latency_us=None)


def measure(pool: EvaluatorPool, workload: Workload, target: Target) -> Layer:
    early = tune(workload, target, Budget(DEFAULT_TRIALS), NOTHING_KNOWN, pool)
    history = History(records=[as_known(trial) for trial in early.trials], incumbent=None)
    rest = Budget((TIMES - 1) * len(early.trials), stops_at_plateau=False)
    late = tune(workload, target, rest, history, pool)
    finalists = {each.id: each for each in (*early.ranking[:FINALISTS], *late.ranking[:FINALISTS])}
    latencies = remeasure(pool, list(finalists.values()))
    medians = {each: statistics.median(own) for each, own in latencies.items()}
    ours = min(medians[each.id] for each in early.ranking[:FINALISTS] if each.id in medians)
    best = min(medians.values())
    in_all = len(early.trials) + len(late.trials)
    return Layer(workload.name, len(early.trials), early.exit_reason, in_all, ours, best, ours / best - 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="resnet18")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--layers", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    target = Target(isa=this_host().isas[0])
    layers = []
    with EvaluatorPool(Cores.of_this_process(target.threads)) as pool:
        for workload, _ in network_workloads(options.network)[options.first : options.first + options.layers]:
            layers.append(measure(pool, workload, target))
            show(layers[-1])
    worst = max(layers, key=lambda layer: layer.gap)
    print(f"largest gap: {worst.gap:.1%} ({worst.name}); target: at most {TARGET_GAP:.0%}")
    if options.json:
        options.json.write_text(json.dumps([asdict(layer) for layer in layers], indent=1) + "\n")
    return 0 if worst.gap <= TARGET_GAP else 1


def show(layer: Layer) -> None:
    print(
        f"{layer.name:48} {layer.trials:3} trials ({layer.stop_reason}) {layer.latency_us:8.2f} us   "
        f"{layer.trials_in_all:3} trials {layer.best_latency_us:8.2f} us   gap {layer.gap:5.1%}",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
