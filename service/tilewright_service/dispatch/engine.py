"""What runs attempts: workers that come and go, each asked for a report about once a second.

The store says which attempts there are and which worker each has; an engine only carries orders, and tells what it
sees. So nothing is lost with it: a service that starts anew, or one that takes over, sees the same workers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptIdentity, WorkerReport


@dataclass(frozen=True)
class Member:
    """A worker that has joined."""

    report: WorkerReport
    """The last that came."""
    silent_seconds: float = 0.0
    """Since then; small while all is well."""


@dataclass(frozen=True)
class EngineView:
    """What was seen last, without asking anybody."""

    members: Mapping[str, Member] = field(default_factory=dict)
    """By name; who has left is not in it."""
    away: str | None = None
    """Why the workers cannot be found, to a person; `members` are those that still answer themselves."""


class Engine(Protocol):
    """No call waits for a worker: what is slow or gone is so beside the caller, for itself, and with a limit."""

    is_embedded: bool
    """Its workers live and die with this service."""

    def view(self) -> EngineView: ...

    def launch(self, worker: str, order: LaunchOrder) -> None:
        """Have this worker run the attempt. Whether it does shows in its reports; to say it twice is to say it once."""

    def kill(self, worker: str, attempt: AttemptIdentity) -> None:
        """Kill the attempt and all that it started. Not an error when it, or the worker, is gone."""

    def probe(self, worker: str, url: str) -> "Probe":
        """Have this worker look whether its host is fit, and whether it finds the service at `url`."""

    def close(self) -> None: ...


class Probe(Protocol):
    """A question that is under way."""

    @property
    def is_over(self) -> bool: ...

    @property
    def ailment(self) -> str | None:
        """Once it is over: what is wrong, and what to do; None when the worker is fit."""
