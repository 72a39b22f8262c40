"""Where a scenario is played: its seed, its clusters, what it measures and what it finds wrong."""

import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cluster import Cluster, Kind, Plan, cluster
from .history import History
from .members import DidNotStart
from .observer import Away
from .patience import TooLate
from .results import Figure, Run

EXPECTED = (TooLate, DidNotStart, Away, AssertionError)


@dataclass
class Stage:
    name: str
    database: Kind
    seed: int
    keep: Path | None = None
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    may_fail: bool = False
    """Whether jobs may end as failed here."""
    skipped: str | None = None

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.name} {self.seed}")

    @contextmanager
    def cluster(self, **parts: Any) -> Iterator[Cluster]:
        """Whatever is raised inside is a fault, and the history is checked all the same."""
        with cluster(Plan(database=self.database, **parts), self.seed, self.keep) as made:
            try:
                yield made
            except EXPECTED as error:
                where = traceback.extract_tb(error.__traceback__)[1]
                self.faults.append(f"{error} (line {where.lineno} of {Path(where.filename).name})")
            self._judge(made.history())
            self._look_for_remains(made)

    def took(self, what: str, seconds: float, at_most: float | None = None) -> None:
        self.figure(what, seconds, "s", at_most=at_most)

    def figure(
        self, what: str, value: float, unit: str, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """Where it is measured several times, the worst counts."""
        new, old = Figure(round(value, 4), unit, at_most, at_least), self.figures.get(what)
        worse = old is None or (value < old.value if at_least is not None else value > old.value)
        if worse:
            self.figures[what] = new

    def skip(self, why: str) -> None:
        """Loudly: nobody is to think that it was played."""
        self.skipped = why
        print(f"{self.name}: SKIPPED, {why}", file=sys.stderr)

    def require(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.faults.append(sentence)

    def _judge(self, history: History) -> None:
        self.faults += history.faults()
        if not self.may_fail:
            self.faults += [
                f"job {each.id} has failed: {each.reason}" for each in history.end.jobs if each.state == "failed"
            ]
        self.counts["jobs"] += len(history.end.jobs)
        self.counts["records"] += sum(seen.kind == "record" for seen in history.seen)
        for seconds in history.cancel_seconds().values():
            self.took("a cancel", seconds, at_most=7)

    def _look_for_remains(self, made: Cluster) -> None:
        """What runs on a machine whose attempts have all ended only stands by."""
        if any(attempt.is_open for attempt in made.history().end.attempts):
            return
        machines = max(len(made.machines), 1) + len(made.services)
        time.sleep(1)
        left = len(made.stand_ins())
        self.require(left <= machines, f"{left} processes of attempts are left over on {machines} machines")


Scenario = Callable[[Stage], None]


@dataclass(frozen=True)
class Script:
    """A scenario under its name, with what it needs."""

    name: str
    play: Scenario
    databases: tuple[Kind, ...]
    times: int
    """In the whole of `make soak`."""

    def run(self, database: Kind, seed: int, keep: Path | None = None) -> Run | None:
        """None where this machine lacks what it takes."""
        stage = Stage(self.name, database, seed, keep)
        began = time.monotonic()
        try:
            self.play(stage)
        except EXPECTED as error:  # before or after its cluster
            stage.faults.append(str(error))
        if stage.skipped:
            return None
        seconds = round(time.monotonic() - began, 1)
        return Run(self.name, database, seed, seconds, stage.faults, stage.figures, dict(stage.counts))


SCRIPTS: dict[str, Script] = {}


def scenario(times: int = 1, databases: tuple[Kind, ...] = ("sqlite", "postgresql")) -> Callable[[Scenario], Scenario]:
    """Names it after its function."""

    def enter(play: Scenario) -> Scenario:
        SCRIPTS[play.__name__] = Script(play.__name__, play, databases, times)
        return play

    return enter
