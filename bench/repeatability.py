"""Tunes the same layers again and again, each time in a fresh process: how far are the published latencies apart?

python -m bench.repeatability [--network resnet18 --network mobilenet_v2] [--layers 4] [--runs 2] [--disturb]
                              [--json FILE]

--disturb starts a process that copies memory on the cores that measure, a second at a time, while the layers are tuned.
The target is at most 3%.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from tilewright.contract.jobs import DEFAULT_TRIALS
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.workloads.zoo import NETWORKS, network_workloads
from tilewright_kernels.isa.host import this_host
from tilewright_tuning.budget import Budget
from tilewright_tuning.cores import Cores
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.tuning import NOTHING_KNOWN, tune

TARGET_SHARE = 0.03
DISTURBANCE = """
import os, sys, time
import numpy as np
os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
source = np.zeros(1 << 24, np.uint8)
target = np.zeros_like(source)
while True:
    stop = time.monotonic() + 1
    while time.monotonic() < stop:
        target[:] = source
    time.sleep(1)
"""


def select_layers(networks: list[str], layers: int) -> list[Workload]:
    """`layers` of each network, evenly spread over it."""
    found = []
    for network in networks:
        workloads = [workload for workload, _ in network_workloads(network)]
        found += [workloads[index * len(workloads) // layers] for index in range(layers)]
    return found


def tune_once(workloads: list[Workload]) -> None:
    """In a process of its own; prints a line of JSON for each layer."""
    target = Target(isa=this_host().isas[0])
    with EvaluatorPool(Cores.of_this_process(target.threads)) as pool:
        for workload in workloads:
            print(json.dumps(tune_layer(pool, workload, target)), flush=True)


def tune_layer(pool: EvaluatorPool, workload: Workload, target: Target) -> dict[str, Any]:
    """Latency in us as it would be published, trials, and seconds in all."""
    tuned = tune(workload, target, Budget(DEFAULT_TRIALS), NOTHING_KNOWN, pool)
    for each in tuned.rejections:
        print(each.reason, file=sys.stderr)
    if tuned.winner is None:
        raise SystemExit(f"{workload.name}: no candidate passed")
    return {
        "latency_us": tuned.winner.latency_us,
        "candidate": tuned.winner.candidate.id[:6],
        "trials": len(tuned.trials),
        "search_seconds": tuned.search_seconds,
        "seconds": tuned.seconds,
    }


def run(arguments: list[str]) -> list[dict[str, Any]]:
    """What a fresh process says about each layer."""
    command = [sys.executable, __file__, *arguments, "--once"]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


@contextmanager
def disturb_cores(is_on: bool) -> Iterator[None]:
    cores = ",".join(map(str, Cores.of_this_process(1).measuring))
    process = subprocess.Popen([sys.executable, "-c", DISTURBANCE, cores]) if is_on else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def conclude(workloads: list[Workload], runs: list[list[dict[str, Any]]]) -> list[dict[str, object]]:
    layers: list[dict[str, object]] = []
    for workload, each in zip(workloads, zip(*runs, strict=True), strict=True):
        latencies = [one["latency_us"] for one in each]
        apart = max(latencies) / min(latencies) - 1
        layers.append({"name": workload.name, "latencies_us": latencies, "apart": apart})
        figures = " ".join(f"{one['latency_us']:9.2f} ({one['candidate']})" for one in each)
        print(f"{workload.name:48} {figures} us  {apart:6.2%} apart")
    trials = sum(one["trials"] for each in runs for one in each)
    searched = sum(one["search_seconds"] for each in runs for one in each)
    print(f"{trials:.0f} trials, {searched / trials:.3f} s a trial, proposing and all")
    return layers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--disturb", action="store_true")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    networks = options.network or ["resnet18", "mobilenet_v2"]
    workloads = select_layers(networks, options.layers)
    if options.once:
        tune_once(workloads)
        return 0
    arguments = [*(f"--network={network}" for network in networks), f"--layers={options.layers}"]
    with disturb_cores(options.disturb):
        runs = [run(arguments) for _ in range(options.runs)]
    layers = conclude(workloads, runs)
    worst = max(float(str(layer["apart"])) for layer in layers)
    print(f"largest difference: {worst:.2%}; target: at most {TARGET_SHARE:.0%}")
    if options.json:
        options.json.write_text(json.dumps({"disturbed": options.disturb, "layers": layers}, indent=1) + "\n")
    return 0 if worst <= TARGET_SHARE else 1


if __name__ == "__main__":
    raise SystemExit(main())
