"""The application in a thread of this process, and what the dispatcher would do with its jobs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Cause, Start
from tilewright.contract.target import ISAS
from tilewright.contract.workers import AttemptKey
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.endings import end_attempt
from tilewright_service.store.lanes import WorkerFacts
from tilewright_service.store.queue import Claim, claim_next
from tilewright_service.store.waiting import Capacity

from ..services import ONE_IDLE, order_of, service_thread
from .running import workload
from .stand_in import HOST

WORKER = WorkerFacts("one", HOST.hostname, HOST.host_class, ISAS[::-1], cores=2)
"""Its strongest path is that of the stand-in's host."""


class ServiceInThread:
    def __init__(self, url: str, database: Database, http: httpx2.Client) -> None:
        self.url = url
        self.database = database
        self.http = http

    def submit(self, height: int = 8, **options: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json={"workloads": [workload(height)], **options})
        job: dict[str, Any] = answer.raise_for_status().json()
        return job

    def job(self, job_id: int) -> dict[str, Any]:
        job: dict[str, Any] = self.http.get(f"/v1/jobs/{job_id}").raise_for_status().json()
        return job

    def begin_attempt(
        self, start: Start | None = None, workers: Sequence[WorkerFacts] = (WORKER,), team: Sequence[WorkerFacts] = ()
    ) -> AttemptClient:
        """Take the next job from the queue, as the dispatcher would, and call home as its attempt, at a workload."""
        claim = self.claim(workers, team)
        assert claim is not None
        order = order_of(claim, self.database, self.url)
        attempt = AttemptClient(order, patience_seconds=0)
        if start is not None:
            attempt.start(start)
            attempt.next()
        return attempt

    def claim(self, workers: Sequence[WorkerFacts] = (WORKER,), team: Sequence[WorkerFacts] = ()) -> Claim | None:
        with self.database.writing() as session:
            return claim_next(session, workers, team)

    def lose(self, attempt: AttemptClient, reason: str = "it was lost", cause: Cause = Cause.WORKLOAD) -> None:
        """What the dispatcher does when an attempt has gone silent."""
        with self.database.writing() as session:
            assert end_attempt(session, key_of(attempt), cause, reason)


def key_of(attempt: AttemptClient) -> AttemptKey:
    return AttemptKey(job_id=attempt.order.job_id, attempt=attempt.order.attempt)


@contextmanager
def serving(
    data_dir: Path,
    settings: Settings | None = None,
    database_url: str | None = None,
    capacity: Capacity | None = ONE_IDLE,
) -> Iterator[ServiceInThread]:
    with (
        service_thread(data_dir, settings, database_url, capacity) as (url, database),
        httpx2.Client(base_url=url, timeout=20) as http,
    ):
        yield ServiceInThread(url, database, http)
