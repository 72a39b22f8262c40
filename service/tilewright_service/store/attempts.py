"""One run of a job on one worker, as the worker tells it. Only the newest attempt of a running job has authority."""

import hashlib
import hmac
import secrets
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tilewright.contract import (
    AttemptBrief,
    AttemptFailed,
    BriefedWorkload,
    Finished,
    Host,
    Interrupted,
    JobState,
    Renewal,
    Report,
    WorkloadOutcome,
)
from tilewright.contract.jobs import WorkloadState
from tilewright.errors import InvalidRequest, StaleAttempt, Unauthorized
from tilewright_service.store.endings import close_attempt, requeue
from tilewright_service.store.events import tell
from tilewright_service.store.hosts import keep_host
from tilewright_service.store.instant import now
from tilewright_service.store.jobs import Jobs, end_job
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow, ScheduleRow, WorkloadRow
from tilewright_service.store.workloads import parse_workload


def new_token() -> str:
    return f"tw_attempt_{secrets.token_urlsafe(32)}"


def token_digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def require_token(session: Session, job_id: int, number: int, token: str) -> AttemptRow:
    """The attempt that this is the token of. Reads one row, and raises Unauthorized for any other token."""
    row = session.get(AttemptRow, (job_id, number))
    digest = row.token_sha256 if row else ""
    if not hmac.compare_digest(digest, token_digest(token)) or row is None:
        raise Unauthorized(f"this is not the token of attempt {number} of job {job_id}")
    return row


class Attempt:
    """An attempt that has shown its token. The row of its job stays locked until the transaction ends."""

    def __init__(self, session: Session, job_id: int, number: int, token: str) -> None:
        self.row: AttemptRow = require_token(session, job_id, number, token)
        self.session = session
        self.job: JobRow = Jobs(session).row(job_id, lock=True)

    @property
    def has_authority(self) -> bool:
        return self.row.is_open and self.row.number == self.job.attempt and self.job.state == JobState.RUNNING

    def require_authority(self) -> None:
        if self.has_authority:
            return
        if self.row.number != self.job.attempt:
            raise StaleAttempt(f"job {self.job.id} is now at attempt {self.job.attempt}")
        raise StaleAttempt(f"attempt {self.row.number} of job {self.job.id} has ended; the job is {self.job.state}")

    def start(self, host: Host, lease_seconds: float) -> AttemptBrief:
        self.require_authority()
        keep_host(self.session, host)
        if self.row.started_at is None:
            self.row.started_at = now()
            self.job.started_at = self.job.started_at or self.row.started_at
            data = {"attempt": self.row.number, "hostname": host.hostname, "host_class": host.host_class}
            tell(self.session, self.job.id, "started", data)
        self.row.host_class = host.host_class
        self._extend_lease(lease_seconds)
        return AttemptBrief(
            target=self.job.target,
            threads=self.job.threads,
            lease_seconds=lease_seconds,
            workloads=self._open_workloads(),
        )

    def renew(self, renewal: Renewal, lease_seconds: float) -> bool:
        """Whether the attempt has to stop because its job was cancelled."""
        self.require_authority()
        self._extend_lease(lease_seconds)
        if renewal.workload_id is not None:
            self._note_workload(renewal.workload_id)
        return self.job.cancel_requested_at is not None

    def conclude(self, outcome: WorkloadOutcome) -> None:
        """The search of one workload has ended."""
        self.require_authority()
        row = self.workload_row(outcome.workload_id)
        is_repeated = row.state == WorkloadState.DONE
        row.state = WorkloadState.DONE
        row.seconds = (row.seconds or 0.0) + outcome.seconds if not is_repeated else row.seconds
        row.stop_reason = outcome.stop_reason
        row.schedule_id = self._checked_schedule(outcome) or row.schedule_id
        self.session.flush()
        if not is_repeated:
            self.tell_workload("workload_done", outcome.workload_id)

    def report(self, report: Report) -> None:
        """The attempt has ended. Safe to repeat."""
        if self.row.outcome == report.outcome:
            return
        self.require_authority()
        close_attempt(self.row, report.outcome, report.reason if isinstance(report, AttemptFailed) else None)
        match report:
            case Finished():
                self._finish()
            case _ if self.job.cancel_requested_at is not None:
                end_job(self.session, self.job, JobState.CANCELLED, "cancelled on request")
            case Interrupted():
                requeue(self.session, self.job, "the attempt was interrupted")
            case AttemptFailed(reason=reason):
                end_job(self.session, self.job, JobState.FAILED, reason.replace("\0", ""))

    def workload_row(self, workload_id: str) -> JobWorkloadRow:
        row = self.session.get(JobWorkloadRow, (self.job.id, workload_id))
        if row is None:
            raise InvalidRequest(f"workload {workload_id} is not part of job {self.job.id}")
        return row

    def tell_workload(self, kind: str, workload_id: str) -> None:
        """An event with everything that is known of one workload of the job."""
        workload = Jobs(self.session).workload(self.job.id, workload_id)
        tell(self.session, self.job.id, kind, workload.model_dump(mode="json", exclude={"workload"}))

    def _extend_lease(self, seconds: float) -> None:
        self.row.lease_expires_at = now() + timedelta(seconds=seconds)

    def _open_workloads(self) -> list[BriefedWorkload]:
        rows = self.session.execute(
            select(JobWorkloadRow, WorkloadRow.document)
            .join(WorkloadRow, WorkloadRow.id == JobWorkloadRow.workload_id)
            .where(JobWorkloadRow.job_id == self.job.id, JobWorkloadRow.state != WorkloadState.DONE)
            .order_by(JobWorkloadRow.position)
        )
        return [
            BriefedWorkload(
                workload=parse_workload(document),
                trials=max(self.job.trials - row.trials, 0),
                seconds=self.job.seconds,
            )
            for row, document in rows
        ]

    def _note_workload(self, workload_id: str) -> None:
        row = self.workload_row(workload_id)
        if row.state == WorkloadState.QUEUED:
            row.state = WorkloadState.RUNNING
            self.session.flush()
            self.tell_workload("workload_started", workload_id)

    def _checked_schedule(self, outcome: WorkloadOutcome) -> int | None:
        if outcome.schedule_id is None:
            return None
        schedule = self.session.get(ScheduleRow, outcome.schedule_id)
        if schedule is None or schedule.workload_id != outcome.workload_id:
            raise InvalidRequest(f"schedule {outcome.schedule_id} is not one of workload {outcome.workload_id}")
        return schedule.id

    def _finish(self) -> None:
        self.session.execute(
            update(JobWorkloadRow)
            .where(JobWorkloadRow.job_id == self.job.id, JobWorkloadRow.state != WorkloadState.DONE)
            .values(state=WorkloadState.DONE, stop_reason="the attempt ended without an outcome for it")
        )
        end_job(self.session, self.job, JobState.FINISHED)
