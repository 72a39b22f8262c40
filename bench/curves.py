"""The best so far against time: Tilewright and stock MetaSchedule, the same convolutions, the same cores, one by one.

    python bench/curves.py [--seconds 120] [--layers 0 1 2] [--json FILE]

The clock of each starts when its processes have imported what they need, and runs through everything else.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from pydantic import TypeAdapter

from tilewright.contract.jobs import DEFAULT_TRIALS
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_tuning.budget import Budget
from tilewright_tuning.cores import Cores
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.trials import Measured, Trial
from tilewright_tuning.tuning import NOTHING_KNOWN, tune

STOCK = Path(__file__).with_name("stock.py")
TARGET = Target(isa=Isa.AVX512_VNNI)
LAYERS = (
    Workload(batch=1, in_channels=64, height=56, width=56, out_channels=64, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    Workload(batch=1, in_channels=256, height=14, width=14, out_channels=256, kernel_size=(3, 3), padding=(1, 1, 1, 1)),
    Workload(batch=1, in_channels=256, height=56, width=56, out_channels=64, kernel_size=(1, 1)),
)

Points = list[tuple[float, float]]
"""(seconds since the start, best latency so far in us)."""


@dataclass(frozen=True)
class Race:
    """One convolution: what both reached when."""

    name: str
    seconds: float
    """That stock MetaSchedule had."""
    ours: Points
    """The last point is the published schedule: measured again among the best, and verified."""
    stock: Points

    @property
    def stock_us(self) -> float:
        return self.stock[-1][1]

    @property
    def seconds_to_stock(self) -> float | None:
        """When ours had reached what stock reached in all of its time."""
        return next((seconds for seconds, us in self.ours if us <= self.stock_us), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--layers", type=int, nargs="+", default=list(range(len(LAYERS))))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    races = {race.name: race for race in read(options.json)} if options.json and options.json.exists() else {}
    for layer in options.layers:
        race = measure(LAYERS[layer], options.seconds)
        races[race.name] = race
        print(describe(race), flush=True)
        if options.json:
            options.json.write_text(json.dumps([asdict(race) for race in races.values()], indent=1) + "\n")


def read(file: Path) -> list[Race]:
    return TypeAdapter(list[Race]).validate_json(file.read_bytes())


def measure(workload: Workload, seconds: float) -> Race:
    command = [sys.executable, str(STOCK), workload.canonical_json, "--seconds", str(seconds)]
    stock = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Race(workload.name, seconds, our_points(workload), json.loads(stock.splitlines()[-1]))


def our_points(workload: Workload) -> Points:
    with EvaluatorPool(Cores.of_this_process(1)) as pool:
        pool.measure_peak(TARGET.isa)  # starts the server of the evaluators, which imports TVM
        started, points = time.monotonic(), Points()

        def note_best(trial: Trial) -> None:
            if isinstance(trial, Measured):
                best_us = min([trial.latency_us, *(us for _, us in points)])
                points.append((time.monotonic() - started, best_us))

        tuned = tune(workload, TARGET, Budget(DEFAULT_TRIALS), NOTHING_KNOWN, pool, on_trial=note_best)
        assert tuned.winner is not None
        return [*points, (time.monotonic() - started, tuned.winner.latency_us)]


def describe(race: Race) -> str:
    reached = race.seconds_to_stock
    when = "not reached" if reached is None else f"ours after {reached:.2f} s, {reached / race.seconds:.2%} of the time"
    done, ours_us = race.ours[-1]
    return (
        f"{race.name}: stock {race.stock_us:.0f} us in {race.seconds:.0f} s; {when}; "
        f"ours published {ours_us:.0f} us after {done:.1f} s"
    )


if __name__ == "__main__":
    main()
