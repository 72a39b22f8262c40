"""An attempt's client that hands out workloads, and has nobody to talk to."""

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import (
    Assignment,
    AttemptBrief,
    BriefedWorkload,
    History,
    LaunchOrder,
    Publication,
    RecordBatch,
    Renewal,
    RenewalAnswer,
    Start,
    Stored,
    WorkloadFailure,
    WorkloadOutcome,
)
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright.errors import ScheduleChanged

DATABASE = "5f3c9a01" * 4
ORDER = LaunchOrder(url="http://nowhere", database_id=DATABASE, job_id=1, attempt=1, token="none", threads=1)
NOTHING = History(records=[], incumbent=None)


class LonelyClient(AttemptClient):
    """Keeps what it is told."""

    def __init__(self, *workloads: Workload, target: str = "auto", trials: int = 3) -> None:
        super().__init__(ORDER)
        self._target = target
        self._left = [BriefedWorkload(workload=each, trials=trials, seconds=None) for each in workloads]
        self.failures: list[WorkloadFailure] = []
        self.outcomes: list[WorkloadOutcome] = []
        self.records: list[RecordBatch] = []
        self.renewals: list[Renewal] = []

    def start(self, start: Start) -> AttemptBrief:
        return AttemptBrief(target=self._target, threads=1, lease_seconds=60, database_id=DATABASE)

    def next(self) -> Assignment:
        return Assignment(workload=self._left[0] if self._left else None)

    def renew(self, renewal: Renewal, patience_seconds: float | None = None) -> RenewalAnswer:
        self.renewals.append(renewal)
        return RenewalAnswer(cancel=False, lease_seconds=60)

    def history(self, workload_id: str, isa: Isa, neighbours: bool = False) -> History:
        return NOTHING

    def send_records(self, batch: RecordBatch) -> Stored:
        self.records.append(batch)
        return Stored(stored=len(batch.records))

    def publish(self, publication: Publication) -> Schedule:
        raise ScheduleChanged("it always has")

    def report_outcome(self, outcome: WorkloadOutcome) -> None:
        self.outcomes.append(outcome)
        self._left.pop(0)

    def report_failure(self, failure: WorkloadFailure) -> None:
        self.failures.append(failure)
        self._left.pop(0)
