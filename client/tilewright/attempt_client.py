"""How an attempt calls home: the client side of `contract.attempts`."""

from typing import Self

import httpx2

from tilewright.contract.attempts import (
    Assignment,
    AttemptBrief,
    History,
    LaunchOrder,
    Next,
    Publication,
    RecordBatch,
    Renewal,
    RenewalAnswer,
    Report,
    Start,
    Stored,
    WorkloadFailure,
    WorkloadOutcome,
)
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Isa
from tilewright.transport import Transport

PATIENCE_SECONDS = 15.0
"""How long the service may be away, such as for a restart, before a call gives up."""


class AttemptClient:
    """Speaks for one attempt, with its token.

    Every call raises `StaleAttempt` once a newer attempt has the authority, except `send_records`: facts are
    always taken. While the service is away a call is repeated, and after `patience_seconds` it raises
    `ServerUnreachable` or `Unavailable`.
    """

    def __init__(
        self,
        order: LaunchOrder,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.order = order
        self._path = f"/v1/jobs/{order.job_id}/attempts/{order.attempt}"
        self._transport = Transport(order.url, order.token, patience_seconds, transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def start(self, start: Start) -> AttemptBrief:
        return self._transport.post(f"{self._path}/start", start, AttemptBrief)

    def next(self) -> Assignment:
        """The workload to tune now, the same until something came of it; none when the attempt should end."""
        return self._transport.post(f"{self._path}/next", Next(), Assignment)

    def history(self, workload_id: str, isa: Isa, neighbours: bool = False) -> History:
        """What is known of a workload on the path that this attempt generates code for; and, if wanted, of its like."""
        question = {"workload_id": workload_id, "isa": isa}
        if neighbours:
            question["neighbours"] = "true"
        return self._transport.get(f"{self._path}/history", History, question)

    def send_records(self, batch: RecordBatch) -> Stored:
        """Safe to repeat: a record is stored once, however often it comes."""
        return self._transport.post(f"{self._path}/records", batch, Stored)

    def renew(self, renewal: Renewal) -> RenewalAnswer:
        return self._transport.post(f"{self._path}/renew", renewal, RenewalAnswer)

    def publish(self, publication: Publication) -> Schedule:
        """Raises `ScheduleChanged` when `replaces` is not the incumbent any more: compare again with the new one."""
        return self._transport.post(f"{self._path}/schedules", publication, Schedule)

    def report_outcome(self, outcome: WorkloadOutcome) -> None:
        self._transport.request("POST", f"{self._path}/outcomes", outcome)

    def report_failure(self, failure: WorkloadFailure) -> None:
        self._transport.request("POST", f"{self._path}/failures", failure)

    def report_result(self, report: Report) -> None:
        self._transport.request("POST", f"{self._path}/result", report)
