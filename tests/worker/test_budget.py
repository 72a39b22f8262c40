import math

from tilewright_tuning.budget import FEWEST, PATIENCE, Budget


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def spend(budget: Budget, *latencies: float | None) -> int:
    """How many of these trials the budget allows."""
    for count, latency in enumerate(latencies):
        if not budget.take():
            return count
        budget.note(latency)
    return len(latencies)


def test_trials_are_counted_when_they_begin() -> None:
    budget = Budget(trials=2, seconds=None)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    assert budget.exhausted() == "trials"


def test_failures_cost_trials_too() -> None:
    budget = Budget(trials=3, seconds=None)
    assert spend(budget, None, None, None, 1.0) == 3
    assert budget.best_us == math.inf


def test_no_trial_begins_after_the_seconds_are_over() -> None:
    clock = Clock()
    budget = Budget(trials=10, seconds=5.0, clock=clock)
    clock.seconds = 4.9
    assert budget.take()
    clock.seconds = 5.0
    assert not budget.take()
    assert budget.exhausted() == "seconds"
    assert budget.seconds_spent == 5.0


def test_a_plateau_ends_the_search() -> None:
    budget = Budget(trials=1000, seconds=None)
    improving = [100.0 - number for number in range(FEWEST)]
    assert spend(budget, *improving, *[200.0] * 100) == FEWEST + PATIENCE
    assert budget.exhausted() == "plateau"
    assert budget.best_us == improving[-1]


def test_the_first_trials_are_no_plateau() -> None:
    budget = Budget(trials=1000, seconds=None)
    assert spend(budget, 1.0, *[200.0] * 100) == FEWEST


def test_improvements_within_the_noise_do_not_keep_a_search_going() -> None:
    budget = Budget(trials=1000, seconds=None)
    creeping = [100.0 * 0.9999**number for number in range(200)]
    assert spend(budget, *creeping) < 60


def test_a_resumed_search_goes_on_where_it_was() -> None:
    budget = Budget(trials=1000, seconds=None, known_best_us=10.0, known_trials=FEWEST)
    assert spend(budget, *[20.0] * 100) == PATIENCE
    assert budget.best_us == 10.0
