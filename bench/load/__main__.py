"""Puts loads on services of their own, and writes down what came of them: `python -m bench.load --help`."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.cluster.report import write_report
from tests.cluster.results import RESULTS, Run

from .lookups import two_thousand_lookups
from .records import two_thousand_records
from .stage import Stage, stage
from .strangers import stranger
from .submits import five_times_too_many, hundred_submits

LOADS: dict[str, Callable[..., Awaitable[None]]] = {
    "submits": hundred_submits,
    "records": two_thousand_records,
    "lookups": two_thousand_lookups,
    "overload": five_times_too_many,
    "stranger": stranger,
}
DATABASES = ("sqlite", "postgresql")


def main() -> int:
    options = _options()
    bad = 0
    for name in options.loads or LOADS:
        for database in options.database:
            run = _put_on(name, database, options.seconds)
            run.append(options.results)
            _print(run)
            bad += not run.is_good
    if options.results == RESULTS:
        write_report()
    return 1 if bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("loads", nargs="*", choices=[*LOADS, []], help="all, unless said")
    parser.add_argument("--database", nargs="+", choices=DATABASES, default=list(DATABASES))
    parser.add_argument("--seconds", type=float, help="of each load; as the acceptance has it unless said")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def _put_on(name: str, database: str, seconds: float | None) -> Run:
    with stage(database) as made:
        began = time.monotonic()
        try:
            asyncio.run(_load(name, made, seconds))
        except (RuntimeError, OSError, EOFError) as error:
            made.faults.append(f"{type(error).__name__}: {error}")
        return made.run(name, time.monotonic() - began)


async def _load(name: str, made: Stage, seconds: float | None) -> None:
    await LOADS[name](made, **({} if seconds is None else {"seconds": seconds}))


def _print(run: Run) -> None:
    print(f"{run.name} on {run.database}: {'good' if run.is_good else 'BAD'}, {run.seconds} s")
    for what, count in run.counts.items():
        print(f"  {what:24} {count:>12,}")
    for what, figure in run.figures.items():
        print(
            f"  {what:24} {figure.value:>12,.1f} {figure.unit:10} {figure.bound}{'' if figure.holds else '  TOO MUCH'}"
        )
    for fault in run.faults[:10]:
        print(f"  ! {fault}")


if __name__ == "__main__":
    sys.exit(main())
