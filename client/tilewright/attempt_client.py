"""How an attempt calls home: the client side of `contract.attempts`."""

import time
from collections.abc import Callable
from typing import Self, TypeVar

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
from tilewright.contract.message import Message
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Isa
from tilewright.errors import ServerUnreachable, StorageFull, Unavailable
from tilewright.transport import Model, Transport, pauses

PATIENCE_SECONDS = 90.0
"""How long the service may be away before a call gives up: for a restart, an upgrade, a minute without its database."""

HURRY_SECONDS = 3.0
"""The same for who was told to come to an end."""

LOOK_SECONDS = 0.2
RENEWAL_TIMEOUT = httpx2.Timeout(5.0)
AWAY = (ServerUnreachable, Unavailable, StorageFull)
"""What may pass by itself."""

T = TypeVar("T")


def never() -> bool:
    return False


class AttemptClient:
    """Speaks for one attempt, with its token; from several threads, if need be.

    Every call raises `StaleAttempt` once the attempt has no authority any more, except `send_records`: facts are
    always taken. While the service is away, or its disk is full, a call is repeated, and after `patience_seconds` it
    raises `ServerUnreachable`, `Unavailable` or `StorageFull`; much sooner once `is_hurried`.
    """

    def __init__(
        self,
        order: LaunchOrder,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx2.BaseTransport | None = None,
        is_hurried: Callable[[], bool] = never,
    ) -> None:
        self.order = order
        self.patience_seconds = patience_seconds
        self._is_hurried = is_hurried
        self._path = f"/v1/jobs/{order.job_id}/attempts/{order.attempt}"
        self._transport = Transport(order.url, order.token, transport=transport)
        self._renewing = Transport(order.url, order.token, transport=transport, timeout=RENEWAL_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()
        self._renewing.close()

    def start(self, start: Start) -> AttemptBrief:
        return self._post("start", start, AttemptBrief)

    def next(self) -> Assignment:
        """The workload to tune now, the same until something came of it; none when the attempt should end."""
        return self._post("next", Next(), Assignment)

    def history(self, workload_id: str, isa: Isa, neighbours: bool = False) -> History:
        """What is known of a workload on the path that this attempt generates code for; and, if wanted, of its like."""
        question = {"workload_id": workload_id, "isa": isa}
        if neighbours:
            question["neighbours"] = "true"
        return self._patiently(lambda: self._transport.get(f"{self._path}/history", History, question))

    def send_records(self, batch: RecordBatch) -> Stored:
        """Safe to repeat: a record is stored once, however often it comes."""
        return self._post("records", batch, Stored)

    def renew(self, renewal: Renewal, patience_seconds: float | None = None) -> RenewalAnswer:
        """Its answer is never waited for longer than half a lease. Without patience it is for the caller to go on."""
        return self._patiently(
            lambda: self._renewing.post(f"{self._path}/renew", renewal, RenewalAnswer), patience_seconds
        )

    def publish(self, publication: Publication) -> Schedule:
        """Raises `ScheduleChanged` when `replaces` is not the incumbent any more: compare again with the new one."""
        return self._post("schedules", publication, Schedule)

    def report_outcome(self, outcome: WorkloadOutcome) -> None:
        self._patiently(lambda: self._transport.request("POST", f"{self._path}/outcomes", outcome))

    def report_failure(self, failure: WorkloadFailure) -> None:
        self._patiently(lambda: self._transport.request("POST", f"{self._path}/failures", failure))

    def report_result(self, report: Report) -> None:
        self._patiently(lambda: self._transport.request("POST", f"{self._path}/result", report))

    def _post(self, name: str, body: Message, answer: type[Model]) -> Model:
        return self._patiently(lambda: self._transport.post(f"{self._path}/{name}", body, answer))

    def _patiently(self, call: Callable[[], T], patience_seconds: float | None = None) -> T:
        began = time.monotonic()
        patience = self.patience_seconds if patience_seconds is None else patience_seconds
        for pause in pauses():
            try:
                return call()
            except AWAY:
                if not self._may_repeat(began, pause, patience):
                    raise
        raise AssertionError("unreachable: pauses never end")

    def _may_repeat(self, began: float, pause: float, patience: float) -> bool:
        """After a pause that ends early for who is in a hurry."""
        resumes = time.monotonic() + pause
        while resumes <= began + (min(patience, HURRY_SECONDS) if self._is_hurried() else patience):
            left = resumes - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, LOOK_SECONDS))
        return False
