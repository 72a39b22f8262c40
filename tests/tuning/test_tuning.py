"""Tuning as a library: no service, no job."""

from collections.abc import Iterator

import pytest

from tilewright.contract.attempts import History, KnownRecord
from tilewright.contract.candidates import candidate_fields
from tilewright.contract.records import RecordState
from tilewright_tuning.budget import Budget
from tilewright_tuning.cores import Cores
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.trials import Measured, Trial
from tilewright_tuning.tuning import NOTHING_KNOWN, Tuned, tune

from .examples import DENSE, TARGET, good_candidate

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def pool() -> Iterator[EvaluatorPool]:
    with EvaluatorPool(Cores.of_this_process(1)) as pool:
        yield pool


@pytest.fixture(scope="module")
def tuned(pool: EvaluatorPool) -> Tuned:
    return tune(DENSE, TARGET, Budget(trials=5), NOTHING_KNOWN, pool, with_default=True)


def test_the_winner_is_the_best_of_the_trials_and_verified(tuned: Tuned) -> None:
    assert tuned.winner is not None
    assert tuned.winner.candidate in tuned.ranking
    assert len(tuned.winner.verification.inputs) == 7
    assert len(tuned.trials) == 5
    assert tuned.exit_reason == "trials"
    assert tuned.default_us is not None
    assert tuned.default_us > tuned.winner.latency_us


def test_what_history_knows_is_not_tried_again_and_may_still_win(pool: EvaluatorPool, tuned: Tuned) -> None:
    known = [
        KnownRecord(**candidate_fields(trial.candidate), state=RecordState.MEASURED, latency_us=trial.latency_us)
        for trial in tuned.trials
        if isinstance(trial, Measured)
    ]
    again = tune(DENSE, TARGET, Budget(trials=2), History(records=known, incumbent=None), pool)
    before = {record.candidate for record in known}
    assert not before & {trial.candidate.id for trial in again.trials}
    assert before <= {candidate.id for candidate in again.ranking}
    assert again.default_us is None


def test_a_cancelled_search_keeps_its_trials_and_decides_nothing(pool: EvaluatorPool) -> None:
    trials: list[Trial] = []
    tuned = tune(
        DENSE,
        TARGET,
        Budget(trials=1000),
        NOTHING_KNOWN,
        pool,
        on_trial=trials.append,
        is_cancelled=lambda: len(trials) >= 3,
    )
    assert tuned.trials == trials
    assert 3 <= len(trials) < 10
    assert (tuned.winner, tuned.exit_reason) == (None, "cancelled")


def test_an_error_of_whoever_hears_of_the_trials_ends_the_tuning(pool: EvaluatorPool) -> None:
    def fail(trial: Trial) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        tune(DENSE, TARGET, Budget(trials=5), NOTHING_KNOWN, pool, on_trial=fail)
    assert tune(DENSE, TARGET, Budget(trials=1), NOTHING_KNOWN, pool).winner is not None


def test_what_nobody_may_touch_counts_as_a_failure_and_never_wins() -> None:
    candidate = good_candidate()
    known = KnownRecord(**candidate_fields(candidate), state=RecordState.MEASURED, latency_us=0.001)
    with EvaluatorPool(Cores.of_this_process(1)) as pool:
        pool.avoided.add(candidate.id)
        tuned = tune(DENSE, TARGET, Budget(2), History(records=[known], incumbent=None), pool)
    assert candidate.id not in [each.id for each in tuned.ranking]
    assert candidate.id not in [each.candidate.id for each in tuned.trials]
    assert tuned.winner is not None
