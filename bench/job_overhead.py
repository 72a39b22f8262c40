"""How long does a job of one small layer take, from `submit --wait` to the answer?

`python -m bench.job_overhead` starts the installed service, submits a layer right after it answers (cold), then others
after pauses (warm: the worker has had time to stand by), each with 12 trials, and prints the wall-clock time of the
command, and of that what the search took. It exits with 1 above 4 s cold, or 2.5 s warm (median).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.services import ServiceProcess

COLD_SECONDS, WARM_SECONDS = 4.0, 2.5
PAUSE_SECONDS = 3.0
WARM_JOBS = 5
TRIALS = 12
COMMAND = Path(sys.executable).with_name("tilewright")
LAYER = {"batch": 1, "in_channels": 64, "height": 14, "width": 14, "kernel_size": [3, 3], "padding": [1, 1, 1, 1]}


def time_submission(url: str, out_channels: int) -> tuple[float, float]:
    """Seconds of `submit --wait`, and of the search of its workload."""
    started = time.monotonic()
    done = subprocess.run(
        [COMMAND, "submit", "--url", url, "--workload", "-", "--trials", str(TRIALS), "--wait", "--json"],
        input=json.dumps({**LAYER, "out_channels": out_channels}),
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.monotonic() - started
    job: dict[str, Any] = json.loads(done.stdout)
    return seconds, job["workloads"][0]["seconds"]


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder, ServiceProcess(Path(folder)) as service:
        cold, warm = time_submission(service.url, 64), []
        for number in range(WARM_JOBS):
            time.sleep(PAUSE_SECONDS)
            warm.append(time_submission(service.url, 80 + 16 * number))
    median = statistics.median(seconds for seconds, _ in warm)
    print(f"cold: {cold[0]:.2f} s, of which the workload {cold[1]:.2f} s")
    print(f"warm: median {median:.2f} s of " + ", ".join(f"{seconds:.2f} ({search:.2f})" for seconds, search in warm))
    limits = (("cold", cold[0], COLD_SECONDS), ("warm", median, WARM_SECONDS))
    missed = [f"{name}: above {limit:g} s" for name, seconds, limit in limits if seconds > limit]
    print(*missed, sep="\n", end="\n" if missed else "")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
