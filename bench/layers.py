"""Every distinct convolution of a network: tuned here and now, then against the peers and the limits of the machine.

    python -m bench.layers [--network resnet18] [--batch 1] [--threads 1] [--target avx512_vnni] [--layers 0:4]
                           [--json FILE]

Ours and each peer run in a process of their own, interleaved, in one run. A peer that is not installed, or that cannot
be restricted to the target, is left out and named.
"""

import argparse
import os
import statistics
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from tilewright.contract.jobs import DEFAULT_TRIALS
from tilewright.contract.target import ISAS, Isa, Target
from tilewright.contract.workload import Workload
from tilewright.workloads.zoo import NETWORKS, network_workloads
from tilewright_comparison.comparison import Comparison
from tilewright_comparison.peers import PEERS
from tilewright_kernels.isa.host import this_host
from tilewright_tuning.budget import Budget
from tilewright_tuning.cores import Cores
from tilewright_tuning.finals import Winner
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.trials import Failed
from tilewright_tuning.tuning import NOTHING_KNOWN, Tuned, tune

from .limits import measure_levels, roofline
from .runs import Layer, Run, as_json, compare_with, geomean, is_compute_bound

PEERS_FOLDER = Path(__file__).parents[1] / ".peers"
"""Where `make peers` puts torch: beside TVM in one environment, every import of TVM would import it too."""

DISTURBED = 0.2
"""Above this share the machine was not quiet, and a figure may be off."""

VERSIONS = ("tilewright", "apache-tvm", "apache-tvm-ffi", "xgboost-cpu")


def main() -> None:
    options = arguments()
    target = Target(isa=Isa(options.target), threads=options.threads)
    cores = Cores.of_this_process(target.threads)
    levels = measure_levels(target, cores.measuring)
    workloads = network_workloads(options.network, options.batch)[options.layers]
    folders = {"onednn": PEERS_FOLDER} if PEERS_FOLDER.exists() else {}
    with EvaluatorPool(cores) as pool, Comparison(target, cores.measuring, PEERS, folders) as comparison:
        run = Run(
            network=options.network,
            batch=options.batch,
            target=target,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            host_class=this_host().host_class,
            cpu_model=this_host().cpu_model,
            versions={"python": python_version(), **own_versions(), **comparison.versions},
            missing=comparison.missing,
            peak_gmacs=pool.measure_peak(target.isa) * target.threads,
            levels=levels,
            layers=[],
        )
        print(f"{run.title}; {run.host_class}, peak {run.peak_gmacs:.0f} GMAC/s")
        for workload, occurrences in workloads:
            run.layers.append(measure(pool, comparison, run, workload, occurrences, options.trials))
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


def own_versions() -> dict[str, str]:
    return {name: version(name) for name in VERSIONS}


def measure(
    pool: EvaluatorPool, comparison: Comparison, run: Run, workload: Workload, occurrences: int, most_trials: int
) -> Layer:
    tuned = tune(workload, run.target, Budget(most_trials), NOTHING_KNOWN, pool)
    winner = require_winner(workload, tuned)
    peak_gmacs = pool.measure_peak(run.target.isa) * run.target.threads
    pool.stop()  # nothing else runs during the comparison
    compared = comparison.compare(workload, winner.candidate)
    limit = roofline(workload, peak_gmacs, run.levels)
    gmacs = workload.macs / compared.ours_us / 1e3
    return Layer(
        name=workload.name,
        kind=kind_of(workload),
        space=winner.candidate.space,
        occurrences=occurrences,
        macs=workload.macs,
        trials=len(tuned.trials),
        tuning_seconds=tuned.seconds,
        latency_us=compared.ours_us,
        gmacs=gmacs,
        peak_gmacs=peak_gmacs,
        share_of_peak=gmacs / peak_gmacs,
        roofline=limit,
        share_of_roofline=limit.least_us / compared.ours_us,
        peers=compared.figures,
        refused=compared.refusals,
        disturbed=compared.disturbed,
    )


def require_winner(workload: Workload, tuned: Tuned) -> Winner:
    for trial in tuned.trials:
        if isinstance(trial, Failed):
            print(f"  {trial.kind}: {trial.reason}")
    for each in tuned.rejections:
        print(f"  refused: {each.reason}")
    if tuned.winner is None:
        raise SystemExit(f"{workload.name}: no candidate passed")
    return tuned.winner


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
    for name, peer in PEERS.items():
        if figures := compare_with(name, layers):
            print(f"{peer.title}: faster on {figures.faster} of {figures.layers} layers; {figures.ratios}")
            for kind, ratios in figures.by_kind.items():
                print(f"{peer.title}, {kind}: {ratios}")
    dense = [layer.share_of_peak for layer in layers if is_compute_bound(layer)]
    if dense:
        print(f"compute-bound dense layers: {geomean(dense):.1%} of peak ({len(dense)} of {len(layers)})")
    seconds = [layer.tuning_seconds for layer in layers]
    print(f"tuning: median {statistics.median(seconds):.1f} s a layer, {sum(seconds):.0f} s in all")


if __name__ == "__main__":
    main()
