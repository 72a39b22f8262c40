"""kill -9 of the attempt, the worker and the server at random instants of jobs of 40 trials.

    python bench/kills.py [--rounds 10] [--seed 0] [--victims attempt worker server]

After each kill, and the restart of a killed server, the job has to finish; every record that was acknowledged before
has to be there unchanged, none may be doubled, no candidate may have been measured twice, no process may be left over.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from system.kill_round import VICTIMS, Round, play
from system.service_process import running_service


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="of each victim")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--victims", nargs="+", choices=VICTIMS, default=list(VICTIMS))
    options = parser.parse_args()
    instants = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        calm = play(service, 0, None, 0)
        print(f"{'victim':8} {'after s':>8} {'records':>8} {'attempts':>9} {'job s':>7}")
        print(line("nobody", None, calm), flush=True)
        failed, number = len(calm.faults), 0
        for victim in options.victims:
            for _ in range(options.rounds):
                number += 1
                after_seconds = instants.uniform(0, calm.seconds * 0.7)
                outcome = play(service, number, victim, after_seconds)
                if not outcome.struck:
                    outcome.faults.append("the job ended before the kill")
                print(line(victim, after_seconds, outcome), flush=True)
                failed += bool(outcome.faults)
    print(f"{number} kills, {failed} rounds with faults")
    return 1 if failed else 0


def line(victim: str, after_seconds: float | None, outcome: Round) -> str:
    when = "-" if after_seconds is None else f"{after_seconds:.2f}"
    figures = f"{victim:8} {when:>8} {outcome.trials_before:>8} {outcome.attempts:>9} {outcome.seconds:>7.1f}"
    return f"{figures}  {'; '.join(outcome.faults) or 'ok'}"


if __name__ == "__main__":
    raise SystemExit(main())
