from tilewright_tuning.budget import FEWEST, PATIENCE, Budget, Spending


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def spend(spending: Spending, *latencies: float | None) -> int:
    """How many of these trials the budget allows."""
    for count, latency in enumerate(latencies):
        if spending.take_trial() is not None:
            return count
        spending.note_trial(latency)
    return len(latencies)


def test_trials_are_counted_when_they_begin() -> None:
    spending = Spending(Budget(trials=2))
    assert [spending.take_trial() for _ in range(3)] == [None, None, "trials"]


def test_failures_cost_trials_too() -> None:
    assert spend(Spending(Budget(trials=3)), None, None, None, 1.0) == 3


def test_no_trial_begins_after_the_seconds_are_over() -> None:
    clock = Clock()
    spending = Spending(Budget(trials=10, seconds=5.0), clock=clock)
    clock.seconds = 4.9
    assert spending.take_trial() is None
    clock.seconds = 5.0
    assert spending.take_trial() == "seconds"
    assert spending.seconds == 5.0


IMPROVING = [100.0 - number for number in range(FEWEST)]


def test_a_plateau_ends_the_search() -> None:
    spending = Spending(Budget(trials=1000))
    assert spend(spending, *IMPROVING, *[200.0] * 100) == FEWEST + PATIENCE
    assert spending.take_trial() == "plateau"


def test_a_budget_that_does_not_stop_at_a_plateau_is_spent_to_its_end() -> None:
    spending = Spending(Budget(trials=1000, stops_at_plateau=False))
    assert spend(spending, *IMPROVING, *[200.0] * 1000) == 1000


def test_the_first_trials_are_no_plateau() -> None:
    assert spend(Spending(Budget(trials=1000)), 1.0, *[200.0] * 100) == FEWEST


def test_improvements_within_the_noise_do_not_keep_a_search_going() -> None:
    creeping = [100.0 * 0.9999**number for number in range(200)]
    assert spend(Spending(Budget(trials=1000)), *creeping) < 60


def test_a_resumed_search_goes_on_where_it_was() -> None:
    spending = Spending(Budget(trials=1000), known_best_us=10.0, known_trials=FEWEST)
    assert spend(spending, *[20.0] * 100) == PATIENCE
