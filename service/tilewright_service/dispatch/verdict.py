"""What is to become of an open attempt: it goes on, or it is ended, and where the blame lies."""

from typing import NamedTuple

from tilewright.contract.attempts import Cause
from tilewright.contract.workers import AttemptEnd, AttemptIdentity
from tilewright_service.dispatch.engine import EngineView, Member
from tilewright_service.dispatch.roster import SILENT_SECONDS
from tilewright_service.dispatch.watch import Sight, Watch
from tilewright_service.settings import Settings
from tilewright_service.store.open_attempts import OpenAttempt

UNKNOWN_SECONDS = 5.0
"""A worker that answers and does not know of an attempt for so long has not got it, or has lost it."""


class Verdict(NamedTuple):
    cause: Cause
    reason: str
    is_of_lease: bool = False
    """It was not heard of in time."""


def verdict_on(
    sight: Sight, database_id: str, watch: Watch, view: EngineView, is_embedded: bool, settings: Settings
) -> Verdict | None:
    """None when it may go on."""
    member = view.members.get(sight.attempt.worker)
    identity = AttemptIdentity.of(database_id, sight.attempt.key)
    end = _end(identity, member)
    if end is not None:
        return _verdict_on_end(end)
    if member is None and is_embedded and view.away is None:
        return Verdict(Cause.MOMENT, "its worker was lost, or the service was started anew")
    waited = watch.seconds_since(sight.first_seen)
    if member is not None and waited > UNKNOWN_SECONDS and _does_not_know(identity, member):
        return _lost(sight.attempt)
    return _overdue(sight, watch, member, settings)


def _end(identity: AttemptIdentity, member: Member | None) -> AttemptEnd | None:
    ended = member.report.ended if member is not None else []
    return next((each.end for each in ended if each.identity == identity), None)


def _verdict_on_end(end: AttemptEnd) -> Verdict:
    reason = end.reason or "the attempt ended without a result"
    if end.is_of_moment:
        return Verdict(Cause.MOMENT, reason)
    return Verdict(Cause.HOST if end.is_of_host else Cause.WORKLOAD, reason)


def _does_not_know(identity: AttemptIdentity, member: Member) -> bool:
    return member.silent_seconds < SILENT_SECONDS and identity not in member.report.running


def _lost(attempt: OpenAttempt) -> Verdict:
    if attempt.is_started:
        return Verdict(Cause.MOMENT, f"worker {attempt.worker} does not know of the attempt any more")
    return Verdict(Cause.WORKLOAD, f"worker {attempt.worker} never began the attempt")


def _overdue(sight: Sight, watch: Watch, member: Member | None, settings: Settings) -> Verdict | None:
    attempt = sight.attempt
    patience = settings.lease_seconds if attempt.is_started else settings.launch_seconds
    if watch.seconds_since(sight.beat_at) > patience:
        is_gone = member is None or member.silent_seconds > SILENT_SECONDS
        where = f"worker {attempt.worker} is not heard of either" if is_gone else "its worker is well"
        # It may hang, or it cannot get through: one that has started is not blamed for what may be our own door's.
        cause = Cause.MOMENT if is_gone or attempt.is_started else Cause.WORKLOAD
        reason = f"the attempt has not been heard of for {patience:g} s, so its lease has expired; {where}"
        return Verdict(cause, reason, is_of_lease=True)
    if sight.cancelled_at is not None and watch.seconds_since(sight.cancelled_at) > settings.cancel_seconds:
        return Verdict(Cause.MOMENT, "the attempt did not stop when its job was cancelled")
    if watch.seconds_since(sight.progress_at) > settings.stall_seconds:
        return Verdict(
            Cause.WORKLOAD, f"the attempt renewed its lease for {settings.stall_seconds:g} s, and got nowhere"
        )
    limit = (attempt.seconds or settings.workload_seconds) + settings.stall_seconds
    if attempt.workload_id is not None and watch.seconds_since(sight.workload_at) > limit:
        return Verdict(Cause.WORKLOAD, f"the workload was not tuned within {limit:g} s")
    return None
