"""However many call, and whoever they are: everybody is answered, and attempts keep their leases."""

from pathlib import Path

import pytest

from bench.callers import ASK, STRANGERS, load_service

SECONDS = 4.0
LEASE_SECONDS = 10.0


@pytest.mark.parametrize(
    ("kinds", "database_url"),
    [(tuple(ASK), "sqlite"), (tuple(ASK), "postgresql"), (STRANGERS, "sqlite")],
    ids=["all kinds", "all kinds, PostgreSQL", "strangers only"],
    indirect=["database_url"],
)
def test_two_hundred_callers_are_answered_and_attempts_keep_their_leases(
    tmp_path: Path, kinds: tuple[str, ...], database_url: str
) -> None:
    """The figures of a quiet machine are those of `bench/callers.py`."""
    tally = load_service(tmp_path, kinds, SECONDS, database_url)
    assert tally.failures == {}
    assert {key.rpartition(" ")[0] for key in tally.statuses} == {"attempt", *kinds}
    assert tally.quantile(0.99) < LEASE_SECONDS / 5
