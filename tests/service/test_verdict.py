"""When an attempt is ended, and where the blame goes, by a clock that the test moves."""

from collections.abc import Callable

import pytest

from tilewright import __version__
from tilewright.contract.attempts import Cause
from tilewright.contract.workers import AttemptEnd, AttemptIdentity, AttemptKey, EndedAttempt, WorkerReport
from tilewright_service.dispatch.engine import EngineView, Member
from tilewright_service.dispatch.verdict import UNKNOWN_SECONDS, Verdict, verdict_on
from tilewright_service.dispatch.watch import ABSENT_SECONDS, Watch
from tilewright_service.settings import Settings
from tilewright_service.store.open_attempts import OpenAttempt

from .stand_in import HOST

KEY = AttemptKey(job_id=1, attempt=1)
DATABASE, ANOTHER_DATABASE = "a" * 32, "b" * 32
ATTEMPT = OpenAttempt(KEY, "one", True, False, beats=1, progress=1, workload_id="a", seconds=None)
SETTINGS = Settings(lease_seconds=10, launch_seconds=40, cancel_seconds=4, stall_seconds=600, workload_seconds=3600)


class Observer:
    """Looks once a second, as the dispatcher does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.watch = Watch(lambda: self.now)

    def look(self, attempt: OpenAttempt, member: Member | None, is_embedded: bool = False) -> Verdict | None:
        [sight] = self.watch.look([attempt])
        view = EngineView({} if member is None else {"one": member})
        return verdict_on(sight, DATABASE, self.watch, view, is_embedded, SETTINGS)

    def wait(self, seconds: float, change: Callable[[int], OpenAttempt], member: Member | None) -> Verdict | None:
        """The first verdict; `change` gives the attempt as it is in each second."""
        for second in range(int(seconds)):
            self.now += 1
            if (verdict := self.look(change(second), member)) is not None:
                return verdict
        return None


def member(
    *running: AttemptKey,
    silent_seconds: float = 0.0,
    ended: tuple[tuple[AttemptKey, AttemptEnd], ...] = (),
    database_id: str = DATABASE,
) -> Member:
    report = WorkerReport(
        name="one",
        version=__version__,
        host=HOST,
        cores=2,
        running=[AttemptIdentity.of(database_id, key) for key in running],
        ended=[EndedAttempt(identity=AttemptIdentity.of(database_id, key), end=end) for key, end in ended],
    )
    return Member(report, silent_seconds)


def as_is(**changes: object) -> Callable[[int], OpenAttempt]:
    return lambda _: OpenAttempt(**{**vars(ATTEMPT), **changes})


def beating(second: int) -> OpenAttempt:
    return OpenAttempt(**{**vars(ATTEMPT), "beats": second})


def working(second: int) -> OpenAttempt:
    return OpenAttempt(**{**vars(ATTEMPT), "beats": second, "progress": second})


def test_an_attempt_that_works_goes_on() -> None:
    assert Observer().wait(3000, working, member(KEY)) is None


def test_a_lease_that_is_not_renewed_ends_and_a_worker_that_is_silent_too_is_not_blamed() -> None:
    assert Observer().wait(9, as_is(), member(KEY)) is None
    lost = Observer().wait(20, as_is(), member(KEY))
    assert lost is not None
    assert (lost.cause, "its lease has expired" in lost.reason) == (Cause.MOMENT, True)
    deaf = Observer().wait(50, as_is(is_started=False, workload_id=None), member(KEY))
    assert deaf is not None
    assert deaf.cause is Cause.WORKLOAD
    frozen = Observer().wait(20, as_is(), member(KEY, silent_seconds=8))
    assert frozen is not None
    assert frozen.cause is Cause.MOMENT


def test_an_observer_that_was_away_gives_everybody_a_fresh_lease() -> None:
    observer = Observer()
    observer.wait(5, as_is(), member(KEY))
    observer.now += 3600
    assert observer.look(ATTEMPT, member(KEY)) is None
    assert observer.wait(9, as_is(), member(KEY)) is None
    assert observer.wait(3, as_is(), member(KEY)) is not None


def test_a_short_absence_is_no_excuse() -> None:
    observer = Observer()
    observer.wait(8, as_is(), member(KEY))
    observer.now += ABSENT_SECONDS
    assert observer.look(ATTEMPT, member(KEY)) is not None


def test_an_observer_that_is_always_late_still_ends_a_lease() -> None:
    observer = Observer()
    verdicts = []
    for _ in range(12):
        observer.now += ABSENT_SECONDS + 2
        verdicts.append(observer.look(ATTEMPT, member(KEY)))
    assert verdicts[8] is None
    assert verdicts[-1] is not None


def test_a_lease_that_is_renewed_without_progress_ends() -> None:
    stalled = Observer().wait(700, beating, member(KEY))
    assert stalled is not None
    assert (stalled.cause, "got nowhere" in stalled.reason) == (Cause.WORKLOAD, True)


def test_a_workload_has_a_limit_in_all() -> None:
    too_long = Observer().wait(5000, working, member(KEY))
    assert too_long is not None
    assert too_long.reason == "the workload was not tuned within 4200 s"
    assert (
        Observer().wait(5000, lambda s: OpenAttempt(**{**vars(working(s)), "workload_id": str(s // 1000)}), member(KEY))
        is None
    )


def test_a_cancel_that_is_not_heeded_is_enforced() -> None:
    ignored = Observer().wait(6, lambda s: OpenAttempt(**{**vars(working(s)), "is_cancelled": True}), member(KEY))
    assert ignored is not None
    assert ignored.cause is Cause.MOMENT


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (AttemptEnd(exit_code=-11, reason="it crashed"), Cause.WORKLOAD),
        (AttemptEnd(exit_code=None, reason="no memory", is_of_host=True), Cause.HOST),
        (AttemptEnd(exit_code=None, reason="the worker leaves", is_of_moment=True), Cause.MOMENT),
        (AttemptEnd(exit_code=0), Cause.WORKLOAD),
    ],
)
def test_what_the_worker_saw_of_the_end_says_where_the_blame_goes(end: AttemptEnd, cause: Cause) -> None:
    verdict = Observer().look(ATTEMPT, member(ended=((KEY, end),)))
    assert verdict is not None
    assert verdict == Verdict(cause, end.reason or "the attempt ended without a result")


def test_a_worker_that_never_began_the_attempt_is_blamed_and_one_that_lost_it_is_not() -> None:
    never = Observer().wait(UNKNOWN_SECONDS + 2, as_is(is_started=False, workload_id=None), member())
    assert never is not None
    assert (never.cause, "never began" in never.reason) == (Cause.WORKLOAD, True)
    lost = Observer().wait(UNKNOWN_SECONDS + 2, as_is(), member())
    assert lost is not None
    assert lost.cause is Cause.MOMENT


def test_of_a_worker_that_is_gone_the_lease_is_waited_for_unless_it_died_with_the_service() -> None:
    assert Observer().wait(9, as_is(), None) is None
    observer = Observer()
    gone = observer.look(ATTEMPT, None, is_embedded=True)
    assert gone is not None
    assert gone.cause is Cause.MOMENT


def test_an_attempt_of_another_database_is_another_attempt() -> None:
    ended = member(ended=((KEY, AttemptEnd(exit_code=-11, reason="it crashed")),), database_id=ANOTHER_DATABASE)
    assert Observer().look(ATTEMPT, ended) is None
    lost = Observer().wait(UNKNOWN_SECONDS + 2, working, member(KEY, database_id=ANOTHER_DATABASE))
    assert lost is not None
    assert "does not know of the attempt any more" in lost.reason
