"""A stranger without a token: a thousand idle connections, and bodies of 8 MiB, beside people who work."""

import asyncio
from contextlib import AsyncExitStack, suppress

from .connection import Answer, Connection
from .pace import Tally, keep_pace
from .stage import Stage
from .submits import submit_one
from .usage import Usage

TOKEN = "a-token-that-the-stranger-does-not-have"
IDLE = 1000
BODIES = 4
BODY = b"[" * (8 * 1024 * 1024)
LOOKUPS_A_SECOND = 50
FACTOR = 3.0
FLOOR_MS = 50.0


async def stranger(stage: Stage, seconds: float = 15.0) -> None:
    with stage.service(TILEWRIGHT_TOKEN=TOKEN) as service:
        async with AsyncExitStack() as opened:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            ours = [await opened.enter_async_context(Connection(service.url, headers)) for _ in range(8)]
            before = await keep_pace(ours, submit_one, LOOKUPS_A_SECOND, seconds)
            idle = await _hold(service.url)
            stage.counts["idle connections held at once"] = len(idle)
            sending = [asyncio.create_task(_send(service.url, stage)) for _ in range(BODIES)]
            async with Usage(service.process.pid) as usage:
                beside = await _beside(service.url, headers, seconds)
            for task in sending:
                task.cancel()
            for writer in idle:
                writer.transport.abort()
    stage.latencies("submits before", before)
    stage.latencies("submits beside", beside, p99_at_most=max(FACTOR * before.quantile(0.99) * 1000, FLOOR_MS))
    stage.require(beside.refused == 0, f"{beside.refused} submits of people with a token were refused")
    stage.usage(usage, beside.good)


async def _beside(url: str, headers: dict[str, str], seconds: float) -> Tally:
    """People who come only now find a place, too."""
    async with AsyncExitStack() as opened:
        theirs = [await opened.enter_async_context(Connection(url, headers)) for _ in range(8)]

        async def ask(connection: Connection, number: int) -> Answer:
            return await submit_one(connection, 50_000 + number)

        return await keep_pace(theirs, ask, LOOKUPS_A_SECOND, seconds)


async def _hold(url: str) -> list[asyncio.StreamWriter]:
    """As many as there may be."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    held = []
    for _ in range(IDLE):
        with suppress(OSError, TimeoutError):
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 2)
            held.append(writer)
    return held


async def _send(url: str, stage: Stage) -> None:
    async with Connection(url) as connection:
        while True:
            try:
                answer = await connection.post("/v1/jobs", BODY)
                stage.require(answer.status in (401, 413, 429, 503), f"a stranger's body was answered {answer.status}")
            except (OSError, EOFError):
                await asyncio.sleep(0.05)  # hung up on, as it should be
            stage.counts["bodies of 8 MiB"] = stage.counts.get("bodies of 8 MiB", 0) + 1
