"""Every distinct convolution of a network: tuned here and now, then against ONNX Runtime, interleaved in one run.

python bench/layers.py [--network resnet18] [--batch 1] [--target avx512_vnni] [--json FILE]

One thread: two pools of spinning threads on the same cores spoil each other's figures.
"""

import argparse
import json
import math
import os
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from tilewright.contract.attempts import History
from tilewright.contract.jobs import DEFAULT_TRIALS
from tilewright.contract.networks import NETWORKS, network_workloads
from tilewright.contract.target import ISAS, Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.build import Candidate
from tilewright_kernels.host import this_host
from tilewright_kernels.kernel import Kernel
from tilewright_worker import tuning
from tilewright_worker.budget import Budget
from tilewright_worker.comparison import compare
from tilewright_worker.cores import Cores
from tilewright_worker.trials import Bench, Trial


@dataclass(frozen=True)
class Layer:
    """What came of one convolution."""

    name: str
    space: str
    occurrences: int
    trials: int
    seconds: float
    latency_us: float
    gmacs: float
    share_of_peak: float
    onnx_runtime_us: float
    ratio: float
    bit_exact: bool


def tune(bench: Bench, workload: Workload, target: Target, trials: int) -> tuple[tuning.Winner, int, float]:
    """The winner, how many trials it took, and the seconds from the first proposal to the last check."""
    started = time.monotonic()
    measured: list[tuple[Candidate, float]] = []

    def take_in(trial: Trial) -> None:
        if trial.failure is None:
            measured.append((trial.candidate, trial.latency_us))
        else:
            print(f"  {trial.failure}: {trial.reason}")

    bench.prepare(workload, target)
    budget = Budget(trials, None)
    tuning.search(bench, workload, target, History(records=[], incumbent=None), budget, take_in, lambda: False)
    winner = tuning.decide(bench, measured, None, lambda candidate, reason: print(f"  refused: {reason}"))
    if winner is None:
        raise SystemExit(f"{workload.name}: no candidate passed")
    return winner, len(measured), time.monotonic() - started


def measure(bench: Bench, workload: Workload, occurrences: int, target: Target, trials: int, peak: float) -> Layer:
    winner, tried, seconds = tune(bench, workload, target, trials)
    bench.close()  # nothing else runs while the two are compared
    os.sched_setaffinity(0, bench.cores.measuring)
    comparison = compare(Kernel(workload, target, winner.candidate))
    os.sched_setaffinity(0, bench.cores.all)
    gmacs = workload.macs / comparison.ours_us / 1e3
    return Layer(
        workload.name,
        winner.candidate.space,
        occurrences,
        tried,
        seconds,
        comparison.ours_us,
        gmacs,
        gmacs / peak,
        comparison.onnx_runtime_us,
        comparison.ratio,
        comparison.is_equal,
    )


def show(layer: Layer) -> None:
    share = f"{layer.share_of_peak:4.0%}"
    print(
        f"{layer.name:48} {layer.trials:3} trials {layer.seconds:5.1f} s {layer.latency_us:8.1f} us "
        f"{layer.gmacs:5.0f} GMAC/s {share} of peak   ORT {layer.onnx_runtime_us:8.1f} us  x{layer.ratio:.3f}"
        f"{'' if layer.bit_exact else '  NOT BIT-EXACT'}",
        flush=True,
    )


def conclude(layers: list[Layer]) -> None:
    def geomean(ratios: list[float]) -> float:
        return math.exp(statistics.fmean(map(math.log, ratios)))

    print(f"geometric mean of the ratio: {geomean([layer.ratio for layer in layers]):.3f}", end="")
    print(f"; without the first layer: {geomean([layer.ratio for layer in layers[1:]]):.3f}" if layers[1:] else "")
    slowest = min(layers, key=lambda layer: layer.ratio)
    print(f"lowest: {slowest.ratio:.3f} ({slowest.name})")
    seconds = [layer.seconds for layer in layers]
    print(f"tuning: median {statistics.median(seconds):.1f} s a layer, {sum(seconds):.0f} s in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="resnet18")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--trials", type=int, default=DEFAULT_TRIALS)
    parser.add_argument("--target", choices=list(ISAS), default=this_host().isas[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    target = Target(isa=Isa(options.target))
    layers = []
    with Bench(Cores.of_this_process(target.threads)) as bench:
        peak = bench.peak_gmacs(target.isa)
        print(f"{this_host().host_class}, {target.isa}, one thread, peak {peak:.0f} GMAC/s a core")
        for workload, occurrences in network_workloads(options.network, options.batch):
            layers.append(measure(bench, workload, occurrences, target, options.trials, peak))
            show(layers[-1])
    conclude(layers)
    if options.json:
        options.json.write_text(json.dumps([asdict(layer) for layer in layers], indent=1) + "\n")


if __name__ == "__main__":
    main()
