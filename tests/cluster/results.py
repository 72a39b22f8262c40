"""What came of every run, in a file that is only appended to; the reports are made of it."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from .machine import ROOT

RESULTS = ROOT / "bench/results/reliability.jsonl"


@dataclass(frozen=True)
class Figure:
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        within = self.at_most is None or self.value <= self.at_most
        return within and (self.at_least is None or self.value >= self.at_least)

    @property
    def bound(self) -> str:
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"


@dataclass(frozen=True)
class Run:
    """One run of a scenario or of a load."""

    name: str
    database: str
    seed: int
    seconds: float
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    commit: str = field(default_factory=lambda: _commit())

    @property
    def is_good(self) -> bool:
        return not self.faults and all(figure.holds for figure in self.figures.values())

    def append(self, path: Path = RESULTS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(asdict(self)) + "\n")


def read_runs(path: Path = RESULTS) -> Iterator[Run]:
    for line in path.read_text().splitlines() if path.exists() else ():
        fields = json.loads(line)
        fields["figures"] = {name: Figure(**figure) for name, figure in fields["figures"].items()}
        yield Run(**fields)


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
