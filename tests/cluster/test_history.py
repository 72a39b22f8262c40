"""The checker of histories finds what is planted, and nothing in a good one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from .end_state import AttemptEnd, EndState, JobEnd, StoredEvent, StoredRecord, StoredSchedule, WorkloadEnd
from .history import History
from .observations import Observation

WORKLOAD, CANDIDATE = "a" * 64, "b" * 64
RECORD = StoredRecord(WORKLOAD, "avx2", 1, "class", CANDIDATE, 1)
SCHEDULE = StoredSchedule(7, WORKLOAD, "avx2", 1, "class", True)
END = EndState(
    jobs=[JobEnd(1, "finished", None)],
    workloads=[WorkloadEnd(1, WORKLOAD, "done", 1, 7)],
    records=[RECORD],
    schedules=[SCHEDULE],
    events=[StoredEvent(1, 1, "queued", "{}"), StoredEvent(2, 1, "finished", "{}")],
    attempts=[AttemptEnd(1, 2, False, "one", "finished")],
)


def seen(at: float, kind: str, attempt: int = 2, **facts: Any) -> Observation:
    return Observation(at, kind, {"job": 1, "attempt": attempt, "host": "one", "pid": attempt, **facts})


GOOD = [
    seen(0, "submitted", key="k"),
    seen(1, "assigned", attempt=1, workload=WORKLOAD, asked=0.9),
    seen(2, "assigned", workload=WORKLOAD, asked=1.9),
    seen(3, "measured", cores=[0], began=2.5, workload=WORKLOAD),
    seen(4, "record", workload=WORKLOAD, candidate=CANDIDATE, stored=1),
    seen(5, "published", workload=WORKLOAD, schedule=7, asked=4.9),
    seen(6, "outcome", workload=WORKLOAD, schedule=7, asked=5.9),
    seen(7, "state", state="finished", reason=None),
]

PLANTED: dict[str, tuple[Callable[[EndState], EndState], list[Observation]]] = {
    "was acknowledged to attempt 2": (lambda end: replace(end, records=[]), []),
    "job 1 was acknowledged": (lambda end: replace(end, jobs=[]), []),
    "made the jobs [1, 2]": (
        lambda end: replace(end, jobs=[*end.jobs, JobEnd(2, "finished", None)]),
        [seen(0, "submitted", job=2, key="k")],
    ),
    "schedule 7 was acknowledged": (lambda end: replace(end, schedules=[]), []),
    "is done; it is ('queued', None)": (
        lambda end: replace(end, workloads=[WorkloadEnd(1, WORKLOAD, "queued", 1, None)]),
        [],
    ),
    "stored twice": (
        lambda end: replace(end, records=[RECORD, RECORD], workloads=[WorkloadEnd(1, WORKLOAD, "done", 2, 7)]),
        [],
    ),
    "counts 2 trials and has 1": (lambda end: replace(end, workloads=[WorkloadEnd(1, WORKLOAD, "done", 2, 7)]), []),
    "two schedules are served": (
        lambda end: replace(end, schedules=[SCHEDULE, SCHEDULE._replace(id=8)]),
        [],
    ),
    "taken twice": (lambda end: end, [seen(6.5, "outcome", workload=WORKLOAD, schedule=7, asked=6.4)]),
    "was finished, and then running": (
        lambda end: end,
        [seen(8, "state", state="running", reason=None), seen(9, "state", state="finished", reason=None)],
    ),
    "came progress": (lambda end: replace(end, events=[*end.events, StoredEvent(3, 1, "progress", "{}")]), []),
    "ended twice": (lambda end: replace(end, events=[*end.events, StoredEvent(3, 1, "failed", "{}")]), []),
    "attempt 1 of job 1 was heard": (
        lambda end: end,
        [seen(5, "published", attempt=1, workload=WORKLOAD, schedule=7, asked=2.5)],
    ),
    "at once": (lambda end: end, [seen(2.8, "measured", attempt=1, cores=[0, 1], began=2.0, workload=WORKLOAD)]),
    "started by 2 processes": (lambda end: end, [seen(1, "started", pid=8), seen(1, "started", pid=9)]),
    "does not say why": (lambda end: replace(end, jobs=[JobEnd(1, "queued", None)]), []),
    "cancel took 8.0 s": (
        lambda end: end,
        [seen(0, "cancel"), seen(8, "state", state="finished", reason=None)],
    ),
    "malformed": (lambda end: replace(end, ailments=["the database disk image is malformed"]), []),
}


def test_a_good_history_has_no_faults() -> None:
    assert History(GOOD, END).faults() == []


@pytest.mark.parametrize("sentence", PLANTED)
def test_a_planted_fault_is_found(sentence: str) -> None:
    change, more = PLANTED[sentence]
    without_last = GOOD[:-1] if any(each.kind in ("cancel",) for each in more) or "say why" in sentence else GOOD
    faults = History(sorted([*without_last, *more], key=lambda each: each.at), change(END)).faults()
    assert any(sentence in fault for fault in faults), faults


def test_an_older_attempt_may_be_heard_until_the_newer_one_has_its_answer() -> None:
    late = seen(2.5, "published", attempt=1, workload=WORKLOAD, schedule=7, asked=1.95)
    assert History(sorted([*GOOD, late], key=lambda each: each.at), END).divided_authority() == []


def test_an_older_attempt_may_have_it_again_from_a_newer_one_that_was_killed() -> None:
    again = [
        seen(6.3, "assigned", attempt=1, workload=WORKLOAD, asked=6.2),
        seen(6.5, "published", attempt=1, workload=WORKLOAD, schedule=7, asked=6.4),
    ]
    good = [each for each in GOOD if each.kind != "outcome"]
    assert History(sorted([*good, *again], key=lambda each: each.at), END).divided_authority() == []


def test_a_cancel_may_take_as_long_as_nobody_was_there() -> None:
    away = [seen(0, "cancel"), seen(5, "outage", began=1), seen(8, "state", state="finished", reason=None)]
    assert History(away, END).cancel_seconds() == {1: 4}


def test_measurements_one_after_the_other_share_a_core() -> None:
    after = seen(3.5, "measured", attempt=1, cores=[0], began=3.0, workload=WORKLOAD)
    assert History([*GOOD, after], END).shared_cores() == []
