"""Submissions: a hundred a second, and five times what the service takes."""

import asyncio
import json
import time
from contextlib import AsyncExitStack

from .connection import Answer, Connection
from .inventions import workload
from .pace import Ask, Tally, as_fast_as_it_goes, keep_pace
from .stage import Stage
from .usage import Usage

CONNECTIONS = 20
MANY = 250
TIMES = 5
RECOVERY_SECONDS = 10.0


async def hundred_submits(stage: Stage, seconds: float = 30.0) -> None:
    with stage.service() as service:
        async with AsyncExitStack() as opened, Usage(service.process.pid) as usage:
            connections = await _open(opened, service.url, CONNECTIONS)
            tally = await keep_pace(connections, submit_one, 100, seconds)
        stage.latencies("submits", tally)
        stage.figure("submits a second", tally.good_a_second, "", at_least=99)
        stage.usage(usage, tally.good)
        stage.require(tally.refused == 0, f"{tally.refused} submits were refused")


async def five_times_too_many(stage: Stage, seconds: float = 20.0) -> None:
    """Nobody is left without an answer, health is told at once, and soon after all is as before."""
    with stage.service() as service:
        async with AsyncExitStack() as opened:
            few = await _open(opened, service.url, CONNECTIONS)
            before = await keep_pace(few, _numbered(100_000), 20, 5)
            capacity = (await as_fast_as_it_goes(few, _numbered(110_000), 5)).good_a_second
            many = await _open(opened, service.url, MANY)
            watching = asyncio.create_task(_watch_health(service.url))
            tally = await keep_pace(many, _numbered(0), capacity * TIMES, seconds)
            watching.cancel()
            health = await watching
            for each in many:
                each.close()
            for each in few:
                each.close()  # the service would, of those that are idle for so long
            await asyncio.sleep(RECOVERY_SECONDS)
            after = await keep_pace(few, _numbered(200_000), 20, 5)
        stage.figure("capacity", capacity, "submits/s")
        stage.figure("offered", capacity * TIMES, "submits/s")
        stage.figure("taken", tally.good_a_second, "submits/s")
        stage.counts["refused"] = tally.refused
        stage.require(not tally.broken, f"answers that are none: {tally.broken}")
        stage.figure("health p99", health.quantile(0.99) * 1000, "ms", at_most=50)
        stage.require(not health.broken and not health.refused, f"/healthz: {dict(health.statuses)}")
        stage.latencies("submits before", before)
        stage.latencies("submits 10 s later", after, p99_at_most=max(3 * before.quantile(0.99) * 1000, 100))


async def submit_one(connection: Connection, number: int) -> Answer:
    """Of a workload of its own, by one of twenty people."""
    body = {"workloads": [workload(number).model_dump(mode="json")], "trials": 64}
    user = f"Tilewright-User: user-{number % 20}\r\n"
    return await connection.post("/v1/jobs", json.dumps(body).encode(), user)


def _numbered(first: int) -> Ask:
    async def ask(connection: Connection, number: int) -> Answer:
        return await submit_one(connection, first + number)

    return ask


async def _open(opened: AsyncExitStack, url: str, number: int) -> list[Connection]:
    return [await opened.enter_async_context(Connection(url)) for _ in range(number)]


async def _watch_health(url: str) -> Tally:
    tally = Tally()
    async with Connection(url) as connection:
        while True:
            try:
                await asyncio.sleep(0.2)
                began = time.perf_counter()
                answer = await connection.get("/healthz")
            except asyncio.CancelledError:
                return tally
            except (OSError, EOFError) as error:
                tally.statuses[type(error).__name__] += 1
                continue
            tally.statuses[answer.status] += 1
            tally.latencies.append(time.perf_counter() - began)
