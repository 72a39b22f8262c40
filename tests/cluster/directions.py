"""How attempts are to behave: stand-ins by machine and by the height of their workload, real ones by machine."""

import json
from dataclasses import dataclass, field
from pathlib import Path

CRASH = "crash"
HANG = "hang"
"""It renews its lease, and gets nothing done."""
SILENCE = "silence"
"""It neither works nor renews."""
FAIL_WORKLOAD = "fail_workload"
FAIL_HOST = "fail_host"
"""It reports that its host is at fault, as with a full disk."""
IGNORE_CANCEL = "ignore_cancel"
OUT_OF_MEMORY = "out_of_memory"
"""It ends as the kernel ends a process that takes too much."""


@dataclass(frozen=True)
class Directions:
    fault: str | None = None
    """Of every attempt on the machine."""
    heights: dict[str, str] = field(default_factory=dict)
    """A fault for each height of a workload, whatever the machine."""
    trial_seconds: float = 0.02
    twins: int = 0
    """So many more processes get the order of every attempt."""
    evaluators: str | None = None
    """Of real attempts: a function of `misbehaviours.py`."""
    one_build_in: int = 5
    """So often it is run."""
    evaluator_bytes: int | None = None
    """What an evaluator may take of memory, unless as much as this host lets it."""

    @classmethod
    def read(cls, machine: Path) -> "Directions":
        return cls(**json.loads((machine / "directions.json").read_text()))

    def fault_at(self, height: int) -> str | None:
        return self.fault or self.heights.get(str(height))
