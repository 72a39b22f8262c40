"""Fifty workers that send two thousand records a second: none lost, and memory stays as it is."""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass

from sqlalchemy import func, select

from tilewright.contract.jobs import JobRequest
from tilewright_service.store.database import Database
from tilewright_service.store.lanes import WorkerFacts
from tilewright_service.store.queue import Claim, claim_next
from tilewright_service.store.submissions import submit
from tilewright_service.store.tables import RecordRow

from .connection import Answer, Connection
from .inventions import HOST, RecordText, workload
from .pace import Tally
from .stage import Stage
from .usage import Usage

WORKERS = 50
A_SECOND = 2000
BATCHES_A_SECOND = 4
"""As the attempts do: what has been measured in a quarter of a second."""
RENEW_SECONDS = 2.0
AGAIN_SECONDS = 0.2
TRIALS = 100_000
GROWTH_MEGABYTES = 10.0


async def two_thousand_records(stage: Stage, seconds: float = 300.0) -> None:
    with stage.filling() as database:
        claims = _claims(database)
    with stage.service() as service:
        attempts = [Attempt(service.url, claim, number) for number, claim in enumerate(claims)]
        async with Usage(service.process.pid) as usage:
            tally, began = Tally(), time.perf_counter()
            await asyncio.gather(*(each.work(tally, seconds) for each in attempts))
            tally.seconds = time.perf_counter() - began
        acknowledged = sum(each.acknowledged for each in attempts)
    stage.latencies("batches", tally)
    stage.counts["asked to come again"] = tally.refused
    stage.figure("records a second", acknowledged / tally.seconds, "", at_least=0.99 * A_SECOND)
    stage.counts["records"] = acknowledged
    stage.usage(usage, sum(tally.statuses.values()))
    stage.figure("memory grew by", usage.growth_megabytes, "MB", at_most=GROWTH_MEGABYTES)
    with stage.filling() as database:
        stored = _count(database)
    stage.require(stored == acknowledged, f"{acknowledged} records were acknowledged, and {stored} are stored")


@dataclass
class Attempt:
    """One worker's, with a connection for its records and one for its lease."""

    url: str
    claim: Claim
    number: int
    acknowledged: int = 0

    async def work(self, tally: Tally, seconds: float) -> None:
        headers = {"Authorization": f"Bearer {self.claim.token}"}
        async with Connection(self.url, headers) as records, Connection(self.url, headers) as lease:
            host = HOST.model_copy(update={"hostname": f"host-{self.number}"})
            start = {"host": host.model_dump(mode="json"), "process": uuid.uuid4().hex}
            await self._insist(lease, "start", json.dumps(start).encode(), tally)
            await self._insist(lease, "next", b"{}", tally)
            renewing = asyncio.create_task(self._renew(lease, tally))
            await self._send(records, tally, seconds)
            renewing.cancel()

    async def _send(self, connection: Connection, tally: Tally, seconds: float) -> None:
        text = RecordText(workload(self.number).id, self.claim.job_id, self.claim.attempt)
        size, numbers = A_SECOND // WORKERS // BATCHES_A_SECOND, iter(range(TRIALS))
        began = time.perf_counter() + self.number / WORKERS / BATCHES_A_SECOND
        for batch in range(int(seconds * BATCHES_A_SECOND)):
            due = began + batch / BATCHES_A_SECOND
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            body = f'{{"records":[{",".join(text.of(next(numbers)) for _ in range(size))}]}}'.encode()
            answer = await self._insist(connection, "records", body, tally)
            self.acknowledged += int(json.loads(answer.body)["stored"])
            tally.latencies.append(time.perf_counter() - due)

    async def _renew(self, connection: Connection, tally: Tally) -> None:
        progress = 0
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            progress += 1
            await self._insist(connection, "renew", json.dumps({"progress": progress}).encode(), tally)

    async def _insist(self, connection: Connection, call: str, body: bytes, tally: Tally) -> Answer:
        """Who is asked to come again comes again, as the attempts do."""
        while True:
            answer = await connection.post(self._path(call), body)
            tally.statuses[answer.status] += 1
            if answer.status == 200:
                return answer
            if answer.status not in (429, 503):
                raise RuntimeError(f"{call}: {answer.status} {answer.body[:300]!r}")
            await asyncio.sleep(AGAIN_SECONDS)

    def _path(self, call: str) -> str:
        return f"/v1/jobs/{self.claim.job_id}/attempts/{self.claim.attempt}/{call}"


def _claims(database: Database) -> list[Claim]:
    """As the dispatcher would give them to fifty workers."""
    claims = []
    for number in range(WORKERS):
        worker = WorkerFacts(f"worker-{number}", f"host-{number}", HOST.host_class, HOST.isas, 2)
        with database.writing() as session:
            submit(session, JobRequest(workloads=[workload(number)], trials=TRIALS), None, f"user-{number % 7}")
            claim = claim_next(session, [worker], [worker])
            assert claim is not None
            claims.append(claim)
    return claims


def _count(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(RecordRow)) or 0
