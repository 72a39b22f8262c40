"""Every step of an attempt, taken by many: what each costs the service, in time on a core."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from tilewright.contract.attempts import Publication, Start, WorkloadOutcome
from tilewright.contract.candidates import candidate_fields
from tilewright.contract.schedules import Verification
from tilewright_service.store.queue import Claim

from .connection import Connection
from .inventions import HOST, TARGET, RecordText, choice, provenance, workload
from .stage import Stage
from .usage import Usage

TIMES = 5
CONNECTIONS = 16
BATCH = 3
"""Records: a trial takes about a tenth of a second, and a batch goes out after a quarter."""


class Steps:
    """All attempts take the same step, and the service's time is divided by their number."""

    def __init__(self, stage: Stage, claims: Sequence[Claim]) -> None:
        self._stage, self._claims = stage, claims
        self.milliseconds: dict[str, float] = {}

    async def take(self) -> None:
        with self._stage.service() as service:
            self._process_id = service.process.pid
            async with AsyncExitStack() as opened:
                self._connections = [
                    await opened.enter_async_context(Connection(service.url)) for _ in range(CONNECTIONS)
                ]
                await self._take_all()

    async def _take_all(self) -> None:
        await self._step("submit", self._submit)
        await self._step("start", lambda number, _: self._post(number, "start", self._start(number)))
        await self._step("next", lambda number, _: self._post(number, "next", "{}"))
        await self._step("records", self._send_records, TIMES)
        await self._step("history", self._history)
        await self._step(
            "renew", lambda number, turn: self._post(number, "renew", f'{{"progress": {turn + 1}}}'), TIMES
        )
        await self._step("publish", lambda number, _: self._post(number, "schedules", self._publication(number)))
        await self._step("outcome", lambda number, _: self._post(number, "outcomes", self._outcome(number)))
        await self._step("result", lambda number, _: self._post(number, "result", '{"outcome": "finished"}'))

    async def _step(self, what: str, take: Callable[[int, int], Awaitable[None]], times: int = 1) -> None:
        turns = iter([(number, turn) for turn in range(times) for number in range(len(self._claims))])

        async def work() -> None:
            for number, turn in turns:
                await take(number, turn)

        async with Usage(self._process_id) as usage:
            await asyncio.gather(*(work() for _ in self._connections))
        self.milliseconds[what] = usage.service_seconds * 1000 / len(self._claims) / times

    async def _submit(self, number: int, _: int) -> None:
        body = {"workloads": [workload(100_000 + number).model_dump(mode="json")], "trials": 64}
        await self._ask("POST", "/v1/jobs", json.dumps(body))

    async def _post(self, number: int, call: str, body: str) -> None:
        await self._ask("POST", self._path(number, call), body, self._token(number))

    async def _history(self, number: int, _: int) -> None:
        question = f"?workload_id={workload(number).id}&isa={TARGET.isa}&neighbours=true"
        await self._ask("GET", self._path(number, "history") + question, "", self._token(number))

    def _start(self, number: int) -> str:
        host = HOST.model_copy(update={"hostname": self._claims[number].worker})
        return Start(host=host, process=uuid.uuid4().hex).model_dump_json()

    async def _send_records(self, number: int, turn: int) -> None:
        claim = self._claims[number]
        text = RecordText(workload(number).id, claim.job_id, claim.attempt)
        records = ",".join(text.of(BATCH * turn + each) for each in range(BATCH))
        await self._post(number, "records", f'{{"records":[{records}]}}')

    async def _ask(self, method: str, path: str, body: str, headers: str = "") -> None:
        """On a connection that is free."""
        connection = self._connections.pop()
        try:
            if method == "GET":
                answer = await connection.get(path, headers)
            else:
                answer = await connection.post(path, body.encode(), headers)
        finally:
            self._connections.append(connection)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")

    def _path(self, number: int, call: str) -> str:
        claim = self._claims[number]
        return f"/v1/jobs/{claim.job_id}/attempts/{claim.attempt}/{call}"

    def _token(self, number: int) -> str:
        return f"Authorization: Bearer {self._claims[number].token}\r\n"

    def _publication(self, number: int) -> str:
        return Publication(
            workload_id=workload(number).id,
            target=TARGET,
            **candidate_fields(choice(0)),
            latencies_us=[100.0] * 10,
            latency_us=100.0,
            spread_us=1.0,
            peak_gmacs=100.0,
            default_latency_us=900.0,
            verification=Verification(reference="none", inputs=["none"], elements=1),
            script="# nothing",
            replaces=None,
            provenance=provenance(self._claims[number].job_id, self._claims[number].attempt),
        ).model_dump_json()

    def _outcome(self, number: int) -> str:
        return WorkloadOutcome(
            workload_id=workload(number).id, stop_reason="budget", seconds=1.0, schedule_id=None
        ).model_dump_json()
