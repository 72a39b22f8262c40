"""Plays scenarios, and writes down what came of them: `python -m tests.cluster --help`."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from . import scenarios  # noqa: F401  (they enter themselves)
from .cluster import Kind
from .report import write_report
from .results import RESULTS, Run
from .stage import SCRIPTS


def main() -> int:
    options = _options()
    if options.list:
        for name, script in SCRIPTS.items():
            print(f"{name:26} {script.times:>3} times  {', '.join(script.databases)}")
        return 0
    bad = 0
    for script in [SCRIPTS[name] for name in options.scenario or SCRIPTS]:
        for database in (each for each in script.databases if each in options.database):
            for number in range(options.times or script.times):
                run = script.run(database, options.seed + number, options.keep)
                if run is None:
                    continue
                run.append(options.results)
                print(_line(run), flush=True)
                bad += not run.is_good
    if options.results == RESULTS:
        write_report()
    return 1 if bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--scenario", nargs="+", choices=list(SCRIPTS), help="all, unless said")
    parser.add_argument("--database", nargs="+", choices=get_args(Kind), default=list(get_args(Kind)))
    parser.add_argument("--times", type=int, help="of each; as in `make soak` unless said")
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the next ones count on")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--keep", type=Path, help="leave the files of a single run in this folder, which is made")
    return parser.parse_args()


def _line(run: Run) -> str:
    figures = ", ".join(
        f"{what} {each.value:.3g} {each.unit}{'' if each.holds else ' TOO MUCH'}" for what, each in run.figures.items()
    )
    word = "good" if run.is_good else "BAD"
    return "\n  ".join(
        [f"{word:4} {run.name} {run.database} seed {run.seed}: {run.seconds} s; {figures}", *run.faults[:8]]
    )


if __name__ == "__main__":
    sys.exit(main())
