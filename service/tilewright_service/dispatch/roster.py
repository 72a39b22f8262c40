"""The workers as people and the queue see them: who works, who does not, and why."""

from collections.abc import Mapping
from datetime import datetime

from tilewright import __version__
from tilewright.contract.workers import AttemptKey, Worker, WorkerReport, WorkerState
from tilewright_service.dispatch.engine import EngineView, Member
from tilewright_service.store.ailing import Ailment

SILENT_SECONDS = 3.0
"""Without a report for so long, a worker gets no work."""


def roster(
    view: EngineView, database_id: str, taken: Mapping[str, AttemptKey], ailing: Mapping[str, Ailment]
) -> tuple[Worker, ...]:
    """`taken` are the workers of open attempts, by name; `ailing` the hosts that were set aside."""
    return tuple(_worker(member, database_id, taken, ailing) for _, member in sorted(view.members.items()))


def _worker(member: Member, database_id: str, taken: Mapping[str, AttemptKey], ailing: Mapping[str, Ailment]) -> Worker:
    report = member.report
    own = (each.key for each in report.running if each.database_id == database_id)
    running = taken.get(report.name) or next(own, None)
    state, reason, since = _state(member, running, ailing.get(report.host.hostname))
    return Worker(
        name=report.name,
        hostname=report.host.hostname,
        host_class=report.host.host_class,
        isas=report.host.isas,
        cores=report.cores,
        state=state,
        reason=reason,
        since=since,
        running=running,
    )


def _state(
    member: Member, running: AttemptKey | None, ailment: Ailment | None
) -> tuple[WorkerState, str | None, datetime | None]:
    report = member.report
    if member.silent_seconds > SILENT_SECONDS:
        return WorkerState.SILENT, f"it has not answered for {member.silent_seconds:.0f} s", None
    if ailment is not None:
        return WorkerState.SET_ASIDE, ailment.reason, ailment.since
    if (other := _other_version(report)) is not None:
        return WorkerState.SET_ASIDE, other, None
    if report.is_draining:
        return WorkerState.DRAINING, "it was asked to end", None
    if running is not None:
        return WorkerState.RUNNING, None, None
    if report.running:
        return WorkerState.BUSY, "it works for another service", None
    if report.busy is not None:
        return WorkerState.BUSY, report.busy, None
    return WorkerState.IDLE, None, None


def _other_version(report: WorkerReport) -> str | None:
    if report.version == __version__:
        return None
    return f"it is of Tilewright {report.version}, the service of {__version__}: install the same on both"
