"""What was seen, by whom and when: one line of JSON each, in files that are only appended to.

All processes of a bench run on one machine, so `time.monotonic` is one clock for all of them, and no fault shifts it.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Observation:
    at: float
    kind: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.facts[name]
        except KeyError:
            raise AttributeError(name) from None


class Notebook:
    """Appends to a file of its own. A line is one write, so a kill loses at most what was not yet seen."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, kind: str, at: float | None = None, **facts: Any) -> float:
        """The instant under which it stands."""
        at = time.monotonic() if at is None else at
        os.write(self._descriptor, json.dumps({"at": at, "kind": kind, **facts}).encode() + b"\n")
        return at

    def close(self) -> None:
        os.close(self._descriptor)


def read_observations(folder: Path) -> list[Observation]:
    """Of all notebooks below the folder, in the order of time."""
    found = [seen for path in sorted(folder.rglob("notes/*.jsonl")) for seen in _read(path)]
    return sorted(found, key=lambda seen: seen.at)


def _read(path: Path) -> Iterator[Observation]:
    for line in path.read_text().splitlines():
        try:
            facts = json.loads(line)
        except ValueError:  # cut short by a disk that was full
            continue
        yield Observation(facts.pop("at"), facts.pop("kind"), facts)
