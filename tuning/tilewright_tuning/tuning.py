"""Tuning one workload: search, then decide among the best. It knows no jobs, no leases and no network."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from tilewright.contract.attempts import History
from tilewright.contract.candidates import Candidate
from tilewright.contract.records import RecordState
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.runtime.build import unscheduled_candidate
from tilewright_tuning.budget import Budget, Spending
from tilewright_tuning.finals import Decision, Rejection, Winner, decide
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.search import Search, search_for
from tilewright_tuning.trials import Measured, Trial, never, run_trials

NOTHING_KNOWN = History(records=[], incumbent=None)

DEFAULT_MACS = 2**31
"""Above this, TVM's default schedule would run for seconds; the comparison with it is left out."""


@dataclass(frozen=True)
class Tuned:
    """What came of tuning one workload."""

    winner: Winner | None
    """None when no candidate passed, or it was cancelled."""
    trials: list[Trial]
    exit_reason: str
    """Why the search ended, in one word: trials, seconds, plateau, exhausted or cancelled."""
    ranking: list[Candidate]
    """All that were ever measured, here or before, the fastest first."""
    rejections: list[Rejection]
    default_us: float | None
    """Latency of TVM's default schedule; None where it would take too long, does not run, or nobody asked."""
    search_seconds: float
    seconds: float


def tune(
    workload: Workload,
    target: Target,
    budget: Budget,
    history: History,
    pool: EvaluatorPool,
    *,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    is_cancelled: Callable[[], bool] = never,
    with_default: bool = False,
) -> Tuned:
    """Find the fastest schedule that is bit-exact, starting from what `history` knows.

    `on_trial` hears of each trial before the next is taken; `with_default` measures TVM's own schedule, too. Raises
    CallFailed where no evaluator can be made ready for the workload, and Stopped once the pulse of the pool is.
    """
    started = time.monotonic()
    history = without(history, pool.avoided)
    pool.prepare(workload, target)
    default = DefaultSchedule(workload if with_default else None)
    latencies = [(each.latency_us, each.as_candidate) for each in history.records if each.latency_us is not None]
    known_best_us = min((latency for latency, _ in latencies), default=math.inf)
    spending = Spending(budget, known_best_us, len(history.records))
    searching = search_for(workload, target, history, pulse=pool.pulse, on_crash=pool.avoided.add)
    proposals = Proposals(searching, spending)
    trials: list[Trial] = []

    def run(candidates: Iterable[Candidate]) -> Iterator[Trial]:
        found = run_trials(pool, candidates, known_best_us, is_cancelled, default.candidate)
        return default.take_from(found, spending.restart_clock)

    with closing(searching):
        for trial in search(proposals, run):
            trials.append(trial)
            on_trial(trial)
    search_seconds = time.monotonic() - started
    latencies += [(trial.latency_us, trial.candidate) for trial in trials if isinstance(trial, Measured)]
    ranking = [each for _, each in sorted(latencies, key=lambda pair: pair[0]) if each.id not in pool.avoided]
    decision, exit_reason = Decision(None), "cancelled"
    if not is_cancelled():
        incumbent = None if history.incumbent is None else history.incumbent.as_candidate
        decision, exit_reason = decide(pool, ranking, incumbent), proposals.exit_reason
    return Tuned(
        decision.winner,
        trials,
        exit_reason,
        ranking,
        decision.rejections,
        default.latency_us,
        search_seconds,
        time.monotonic() - started,
    )


def without(history: History, avoided: Collection[str]) -> History:
    """What is known, but for candidates that nobody may touch: these count as failures."""
    records = [
        each.model_copy(update={"state": RecordState.FAILED, "latency_us": None}) if each.candidate in avoided else each
        for each in history.records
    ]
    return history.model_copy(update={"records": records})


class Proposals:
    """What a search proposes, as long as the budget lasts."""

    def __init__(self, searching: Search, spending: Spending) -> None:
        self.search, self.spending = searching, spending
        self.exit_reason = "exhausted"
        """Once there are no more: why, in one word."""

    def __iter__(self) -> Iterator[Candidate]:
        while (reason := self.spending.take_trial()) is None:
            candidate = self.search.propose()
            if candidate is None:
                return
            yield candidate
        self.exit_reason = reason


def search(proposals: Proposals, run: Callable[[Iterable[Candidate]], Iterator[Trial]]) -> Iterator[Trial]:
    """Have the proposals tried, and learn from each trial before the next is proposed."""
    for trial in run(proposals):
        latency_us = trial.latency_us if isinstance(trial, Measured) else None
        proposals.search.learn(trial.candidate, latency_us)
        proposals.spending.note_trial(latency_us)
        yield trial


class DefaultSchedule:
    """TVM's default schedule of a workload, tried while the first candidates are built."""

    def __init__(self, workload: Workload | None) -> None:
        """None where nobody asks for it."""
        is_tried = workload is not None and workload.macs <= DEFAULT_MACS
        self.candidate = unscheduled_candidate() if is_tried else None
        self.latency_us: float | None = None
        """None where it would take too long or does not run, too."""

    def take_from(self, trials: Iterable[Trial], on_end: Callable[[], None]) -> Iterator[Trial]:
        """The trials without its own, from which it takes its latency; that one comes to its end at `on_end`."""
        waits = self.candidate is not None
        for trial in trials:
            if not waits or trial.candidate != self.candidate:
                yield trial
                continue
            waits = False  # a search may propose the same
            on_end()
            if isinstance(trial, Measured):
                self.latency_us = min(trial.latencies_us)
