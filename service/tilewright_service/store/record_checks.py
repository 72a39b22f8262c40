"""Whether an attempt may bring the records that it brings, by what the database holds of them: read once for many."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, select

from tilewright.contract.records import NewRecord
from tilewright.contract.workers import AttemptKey
from tilewright.errors import InvalidRequest, Unauthorized
from tilewright_service.store.authority import require_open
from tilewright_service.store.tables import AttemptRow, JobWorkloadRow, ScheduleRow, WorkloadRow

LOST = "lost"
"""The outcome of attempts that did not say how they ended: what they measured still counts."""

SLACK = 2
"""So many times its trials a job may have of a workload: one attempt may measure what another has not delivered yet."""


class AttemptOwner(NamedTuple):
    """The attempt that made a record."""

    job_id: int
    attempt: int


class Batch(NamedTuple):
    """What one attempt sends at a time."""

    key: AttemptKey
    records: Sequence[NewRecord]

    @property
    def job_ids(self) -> set[int]:
        return {self.key.job_id, *(record.provenance.job_id for record in self.records)}

    @property
    def sender(self) -> AttemptOwner:
        return AttemptOwner(self.key.job_id, self.key.attempt)

    @property
    def by_owner(self) -> dict[AttemptOwner, list[NewRecord]]:
        groups: dict[AttemptOwner, list[NewRecord]] = defaultdict(list)
        for record in self.records:
            groups[AttemptOwner(record.provenance.job_id, record.provenance.attempt)].append(record)
        return groups


@dataclass
class Known:
    """Of the batches that come in together."""

    jobs: Mapping[int, Row[Any]]
    attempts: Mapping[AttemptOwner, Row[Any]]
    workloads: Mapping[tuple[int, str], Row[Any]]
    coming: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Records of each workload, of the batches that were taken already."""

    @classmethod
    def of(cls, connection: Connection, batches: Sequence[Batch], jobs: Mapping[int, Row[Any]]) -> "Known":
        owners = {owner for batch in batches for owner in (batch.sender, *batch.by_owner)}
        places = {
            (owner.job_id, each.workload_id) for b in batches for owner, found in b.by_owner.items() for each in found
        }
        attempts = connection.execute(ATTEMPTS, _columns(owners, "job_ids", "numbers"))
        workloads = connection.execute(WORKLOADS, _columns(places, "job_ids", "workload_ids"))
        return cls(
            jobs,
            {AttemptOwner(row.job_id, row.number): row for row in attempts},
            {(row.job_id, row.workload_id): row for row in workloads},
        )

    def take(self, batch: Batch) -> None:
        """Raises StaleAttempt or InvalidRequest, and then has taken nothing of it."""
        attempt = self.attempts.get(batch.sender)
        if attempt is None:
            raise Unauthorized("there is no such attempt")
        if attempt.outcome not in (None, LOST):
            require_open(attempt, self.jobs[batch.key.job_id])  # type: ignore[arg-type]
        counts: Counter[tuple[int, str]] = Counter()
        for owner, records in sorted(batch.by_owner.items()):
            self._check_targets(attempt, owner, records)
            counts.update((owner.job_id, record.workload_id) for record in records)
        for place, count in counts.items():
            self._check_budget(place, count)
        self.coming += counts

    def holds(self, sender: AttemptOwner, place: tuple[int, str]) -> bool:
        """Whether an attempt is at this workload."""
        row = self.workloads[place]
        return (place[0], row.attempt, row.state) == (*sender, "running")

    def _check_targets(self, attempt: Row[Any], owner: AttemptOwner, records: Iterable[NewRecord]) -> None:
        """That these are of an attempt that this one may speak for, and of what that was asked to do."""
        made_by = self.attempts.get(owner)
        if made_by is None or (made_by is not attempt and (made_by.is_open or made_by.hostname != attempt.hostname)):
            raise InvalidRequest("provenance names an attempt that did not run on this host, or one that is later")
        job = self.jobs[owner.job_id]
        for record in records:
            if record.target.threads != job.threads or record.target.isa != made_by.isa:
                raise InvalidRequest(f"the record is for another target than job {job.id} asks for")
            if record.provenance.host_class != made_by.host_class:
                raise InvalidRequest("the record is of another host class than its attempt")

    def _check_budget(self, place: tuple[int, str], count: int) -> None:
        job, row = self.jobs[place[0]], self.workloads.get(place)
        if row is None:
            raise InvalidRequest(f"workload {place[1]} is not part of job {job.id}")
        trials = row.trials + self.coming[place]
        if trials + count > SLACK * job.trials:
            raise InvalidRequest(f"job {job.id} asks for {job.trials} trials of a workload, and has {trials}")


def _columns(pairs: Iterable[tuple[Any, Any]], *names: str) -> dict[str, list[Any]]:
    """Of the pairs and some more, of which there are few."""
    return {name: sorted(set(values)) for name, values in zip(names, zip(*pairs, strict=True), strict=True)}


def _among(name: str) -> Any:
    return bindparam(name, expanding=True)


def _select_workloads() -> Select[Any]:
    return (
        select(
            *JobWorkloadRow.__table__.c,
            WorkloadRow.document,
            ScheduleRow.latency_us,
            ScheduleRow.share_of_peak,
            ScheduleRow.speedup_over_default,
        )
        .join(WorkloadRow, WorkloadRow.id == JobWorkloadRow.workload_id)
        .outerjoin(ScheduleRow, ScheduleRow.id == JobWorkloadRow.schedule_id)
        .where(JobWorkloadRow.job_id.in_(_among("job_ids")), JobWorkloadRow.workload_id.in_(_among("workload_ids")))
    )


ATTEMPTS = select(*AttemptRow.__table__.c).where(
    AttemptRow.job_id.in_(_among("job_ids")), AttemptRow.number.in_(_among("numbers"))
)
WORKLOADS = _select_workloads()
