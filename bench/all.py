"""Everything that docs/benchmarks.md shows, one run after the other, and then the page itself.

    python -m bench.all [--resume]

Every run leaves a file in bench/results; `--resume` keeps those that are not a day old.
"""

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tilewright.contract.target import Isa
from tilewright.workloads.zoo import NETWORKS
from tilewright_kernels.isa.paths import host_isas

RESULTS = Path(__file__).parent / "results"
PATHS_NETWORK = "resnet18"
"""On which the weaker paths are measured."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resume", action="store_true")
    resume = parser.parse_args().resume
    RESULTS.mkdir(exist_ok=True)
    failed = []
    for file, arguments in runs().items():
        if resume and is_fresh(RESULTS / file):
            continue
        print(f"== {' '.join(arguments)}", flush=True)
        if subprocess.run([sys.executable, "-m", *arguments, "--json", RESULTS / file], check=False).returncode != 0:
            failed.append(file)
    subprocess.run([sys.executable, "-m", "bench.report"], check=True)
    for file in failed:
        print(f"{file}: the run failed, or missed its target")
    return 1 if failed else 0


def runs() -> dict[str, list[str]]:
    """The result file of each run, and the module and arguments that make it."""
    strongest, *weaker = host_isas()
    found = {}
    cases = [(network, batch, 1, strongest) for batch in (1, 8) for network in NETWORKS]
    if len(os.sched_getaffinity(0)) > 1:
        cases += [(network, 1, 2, strongest) for network in NETWORKS]
        found["threads.json"] = ["bench.threads"]
    cases += [(PATHS_NETWORK, 1, 1, isa) for isa in weaker]
    for network, batch, threads, isa in cases:
        options = ["--network", network, "--batch", str(batch), "--threads", str(threads), "--target", isa.value]
        found[f"{network}_b{batch}_t{threads}_{isa}.json"] = ["bench.layers", *options]
    if Isa.AVX512_VNNI in host_isas():
        found["curves.json"] = ["bench.curves"]
    return found


def is_fresh(file: Path) -> bool:
    if not file.exists():
        return False
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return datetime.now(UTC) - written < timedelta(days=1)


if __name__ == "__main__":
    sys.exit(main())
