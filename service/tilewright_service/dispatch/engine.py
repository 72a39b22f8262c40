"""What runs attempts. Four calls, so that it can be something else than Dask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptEnd, AttemptKey, Worker


@dataclass(frozen=True)
class EngineState:
    """What the engine knows of the attempts that it was given."""

    running: frozenset[AttemptKey] = frozenset()
    """Launched, and not known to have ended."""
    ended: dict[AttemptKey, AttemptEnd] = field(default_factory=dict)
    """Ended since the last call."""


@dataclass(frozen=True)
class EngineView:
    """What was seen last, without asking anybody."""

    members: Mapping[str, object] = field(default_factory=dict)
    away: str | None = None


class Engine(Protocol):
    is_embedded: bool
    """Its workers die with this service, so an attempt that it does not know is gone."""

    def launch(self, order: LaunchOrder) -> None:
        """Have a worker run this attempt; returns at once."""

    def kill(self, key: AttemptKey) -> None:
        """Kill the attempt and all that it started. Not an error when it has ended already."""

    def list(self) -> EngineState: ...

    def view(self) -> EngineView: ...

    def capacity(self) -> Sequence[Worker]: ...

    def close(self) -> None: ...
