"""Every distinct convolution of a network: tuned here and now, then against the peers and the limits of the machine.

    python bench/layers.py [--network resnet18] [--batch 1] [--threads 1] [--target avx512_vnni] [--layers 0:4]
                           [--json FILE]

Each side runs in a process of its own, in turns, in one run. A peer that is not installed, or that cannot be restricted
to the target, is left out and named.
"""

import argparse
import os
import statistics
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from limits import measured_levels, roofline
from runs import Layer, Run, as_json, conclusions, geomean, is_compute_bound

from tilewright.contract.attempts import History
from tilewright.contract.candidates import Candidate
from tilewright.contract.jobs import DEFAULT_TRIALS
from tilewright.contract.target import ISAS, Isa, Target
from tilewright.contract.workload import Workload
from tilewright.workloads.zoo import NETWORKS, network_workloads
from tilewright_comparison.comparison import Contest
from tilewright_comparison.peers import PEERS
from tilewright_kernels.isa.host import this_host
from tilewright_tuning import tuning
from tilewright_tuning.budget import Budget
from tilewright_tuning.cores import Cores
from tilewright_tuning.trials import Bench, Trial

PEERS_FOLDER = Path(__file__).parents[1] / ".peers"
"""Where `make peers` puts torch: beside TVM in one environment, every import of TVM would import it too."""

DISTURBED = 0.2
"""Above this share the machine was not quiet, and a figure may be off."""

VERSIONS = ("tilewright", "apache-tvm", "apache-tvm-ffi", "xgboost-cpu")


def main() -> None:
    options = arguments()
    target = Target(isa=Isa(options.target), threads=options.threads)
    cores = Cores.of_this_process(target.threads)
    levels = measured_levels(target, cores.measuring)
    workloads = network_workloads(options.network, options.batch)[options.layers]
    folders = {"onednn": PEERS_FOLDER} if PEERS_FOLDER.exists() else {}
    with Bench(cores) as bench, Contest(target, cores.measuring, PEERS, folders) as contest:
        run = Run(
            network=options.network,
            batch=options.batch,
            target=target,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            host_class=this_host().host_class,
            cpu_model=this_host().cpu_model,
            versions={"python": python_version(), **{name: version(name) for name in VERSIONS}, **contest.versions},
            missing=contest.missing,
            peak_gmacs=bench.peak_gmacs(target.isa) * target.threads,
            levels=levels,
            layers=[],
        )
        print(f"{run.title}; {run.host_class}, peak {run.peak_gmacs:.0f} GMAC/s")
        for workload, occurrences in workloads:
            run.layers.append(measure(bench, contest, run, workload, occurrences, options.trials))
            show(run.layers[-1])
    for name, reason in run.missing.items():
        print(f"left out: {PEERS[name].title}, {reason}")
    conclude(run.layers)
    if options.json:
        options.json.write_text(as_json(run) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="resnet18")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trials", type=int, default=DEFAULT_TRIALS)
    parser.add_argument("--target", choices=list(ISAS), default=this_host().isas[0])
    parser.add_argument("--layers", type=as_slice, default=slice(None), help="some of them, such as 0:4 or ::5")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def as_slice(text: str) -> slice:
    return slice(*(int(part) if part else None for part in text.split(":")))


def measure(bench: Bench, contest: Contest, run: Run, workload: Workload, occurrences: int, most_trials: int) -> Layer:
    winner, trials, seconds = tune(bench, workload, run.target, most_trials)
    peak_gmacs = bench.peak_gmacs(run.target.isa) * run.target.threads
    bench.close()  # nothing else runs while the sides are compared
    comparison = contest.compare(workload, winner.candidate)
    limit = roofline(workload, peak_gmacs, run.levels)
    gmacs = workload.macs / comparison.ours_us / 1e3
    return Layer(
        name=workload.name,
        kind=kind_of(workload),
        space=winner.candidate.space,
        occurrences=occurrences,
        macs=workload.macs,
        trials=trials,
        tuning_seconds=seconds,
        latency_us=comparison.ours_us,
        gmacs=gmacs,
        peak_gmacs=peak_gmacs,
        share_of_peak=gmacs / peak_gmacs,
        roofline=limit,
        share_of_roofline=limit.least_us / comparison.ours_us,
        peers=comparison.peers,
        refused=comparison.refused,
        disturbed=comparison.disturbed,
    )


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


def kind_of(workload: Workload) -> str:
    if workload.in_channels <= 4:
        return "first"
    if workload.groups == 1:
        return "dense"
    return "depthwise" if workload.groups == workload.in_channels else "grouped"


def show(layer: Layer) -> None:
    peers = "  ".join(
        f"{name} {peer.latency_us:8.1f} us x{peer.ratio:.3f}{'' if peer.agreement.is_equal else ' NOT EQUAL'}"
        for name, peer in layer.peers.items()
    )
    refused = "".join(f"  {name}: {reason}" for name, reason in layer.refused.items())
    disturbed = f"  {layer.disturbed:.0%} of the rounds disturbed" if layer.disturbed > DISTURBED else ""
    print(
        f"{layer.name:48} {layer.trials:3} trials {layer.tuning_seconds:5.1f} s {layer.latency_us:8.1f} us "
        f"{layer.gmacs:5.0f} GMAC/s {layer.share_of_peak:4.0%} of peak {layer.share_of_roofline:4.0%} of the roofline "
        f"({layer.roofline.bound})  {peers}{refused}{disturbed}",
        flush=True,
    )


def conclude(layers: list[Layer]) -> None:
    for name in PEERS:
        for what, line in conclusions(layers, name).items():
            print(f"{PEERS[name].title}, {what}: {line}")
    dense = [layer.share_of_peak for layer in layers if is_compute_bound(layer)]
    if dense:
        print(f"compute-bound dense layers: {geomean(dense):.1%} of peak ({len(dense)} of {len(layers)})")
    seconds = [layer.tuning_seconds for layer in layers]
    print(f"tuning: median {statistics.median(seconds):.1f} s a layer, {sum(seconds):.0f} s in all")


if __name__ == "__main__":
    main()
