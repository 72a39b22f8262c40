"""Search in the generic space, in a process of its own: known traces are other people's, and TVM may die of one."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from tilewright.contract.attempts import KnownRecord
from tilewright.contract.candidates import Candidate, GenericTrace, Trace
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_tuning.child_process import CallFailed, ChildProcess, Command, CommandFailed, NoAnswer, ProcessEnded
from tilewright_tuning.fork_server import fork_server
from tilewright_tuning.limits import Limits
from tilewright_tuning.pulse import Pulse

BEGIN_SECONDS = 60.0
REPLAY_SECONDS = 20.0
PROPOSE_SECONDS = 60.0
MOST_CRASHES = 5
"""After so many ends of the process the search goes on without what is known, and after as many more it is over."""

T = TypeVar("T")


class Evolving:
    """What the process keeps: nothing before its first command."""

    search: Any


@dataclass(frozen=True)
class Begin:
    answer: ClassVar[Any] = None
    workload: Workload
    target: Target
    seen: list[str]
    seed: int

    def execute(self, evolving: Evolving, /) -> None:
        from tilewright_tuning.search.evolutionary import (
            EvolutionarySearch,
        )  # with XGBoost, which evaluators never need

        evolving.search = EvolutionarySearch(self.workload, self.target, self.seen, self.seed)


@dataclass(frozen=True)
class Remember:
    """Replay a trace that is known, and breed from it."""

    answer: ClassVar[Any] = None
    candidate: Candidate
    latency_us: float

    def execute(self, evolving: Evolving, /) -> None:
        evolving.search.remember(self.candidate, self.latency_us)


@dataclass(frozen=True)
class Propose:
    answer: ClassVar[Any] = Trace | None

    def execute(self, evolving: Evolving, /) -> Trace | None:
        candidate = evolving.search.propose()
        return None if candidate is None else candidate.trace


@dataclass(frozen=True)
class Learn:
    answer: ClassVar[Any] = None
    candidate_id: str
    latency_us: float | None

    def execute(self, evolving: Evolving, /) -> None:
        evolving.search.learn(self.candidate_id, self.latency_us)


class GenericSearch:
    """MetaSchedule's evolution, from which a crash or a hang takes nothing but the record that it was at.

    `on_crash` hears of each known record whose replay ended the process.
    """

    def __init__(
        self,
        workload: Workload,
        target: Target,
        known: Sequence[KnownRecord],
        seed: int,
        pulse: Pulse | None = None,
        on_crash: Callable[[str], None] = lambda candidate_id: None,
    ) -> None:
        self._workload, self._target, self._seed = workload, target, seed
        self._on_crash = on_crash
        self._seen = {record.candidate for record in known}
        self._parents = [
            (each.as_candidate, each.latency_us) for each in known if each.trace and each.latency_us is not None
        ]
        self._crashes = 0
        self._process = ChildProcess(Evolving, fork_server(), limits=Limits.of_this_host(), pulse=pulse)

    def propose(self) -> Candidate | None:
        while self._crashes <= 2 * MOST_CRASHES:
            with suppress(ProcessEnded, NoAnswer):
                trace = self._call(Propose(), PROPOSE_SECONDS)
                candidate = None if trace is None else GenericTrace(trace=trace)
                if candidate is None or candidate.id not in self._seen:
                    return self._note(candidate)
            self._crashes += 1
        return None

    def learn(self, candidate: Candidate, latency_us: float | None) -> None:
        if latency_us is not None:
            self._parents.append((candidate, latency_us))
        with suppress(CallFailed):  # the next proposal starts it again, from all that was learnt
            if self._process.is_alive:
                self._process.call(Learn(candidate.id, latency_us), REPLAY_SECONDS)

    def close(self) -> None:
        self._process.stop()

    def _note(self, candidate: GenericTrace | None) -> GenericTrace | None:
        if candidate is not None:
            self._seen.add(candidate.id)
        return candidate

    def _call(self, command: Command[Evolving, T], timeout_seconds: float) -> T:
        while not self._process.is_alive:
            self._begin()
        return self._process.call(command, timeout_seconds)

    def _begin(self) -> None:
        """Until a record ends the process, which is then not alive."""
        self._process.start()
        seed = self._seed + self._crashes  # what it died of, it shall not meet again
        self._process.call(Begin(self._workload, self._target, sorted(self._seen), seed), BEGIN_SECONDS)
        if self._crashes > MOST_CRASHES:
            return
        for parent in list(self._parents):
            candidate, latency_us = parent
            try:
                self._process.call(Remember(candidate, latency_us), REPLAY_SECONDS)
            except CommandFailed:  # of another version, or of none
                continue
            except (ProcessEnded, NoAnswer):
                self._crashes += 1
                self._parents.remove(parent)
                self._on_crash(candidate.id)
                return
