"""Look-ups in a database as after years: two thousand a second at a million records and a hundred thousand jobs."""

from contextlib import AsyncExitStack
from time import perf_counter

from .connection import Answer, Connection
from .filling import fill
from .pace import as_fast_as_it_goes, keep_pace
from .stage import Stage
from .usage import Usage

JOBS, RECORDS = 100_000, 1_000_000
CONNECTIONS = 8
A_SECOND = 2000


async def two_thousand_lookups(stage: Stage, seconds: float = 30.0, jobs: int = JOBS, records: int = RECORDS) -> None:
    began = perf_counter()
    with stage.filling() as database:
        ids = fill(database, jobs, records)
    stage.figure("filled in", perf_counter() - began, "s")
    stage.counts |= {"jobs": jobs, "records": records}
    began = perf_counter()
    with stage.service() as service:
        stage.figure("service starts in", perf_counter() - began, "s")

        async def ask(connection: Connection, number: int) -> Answer:
            return await connection.get(f"/v1/schedules?workload_id={ids[number * 7919 % len(ids)]}")

        async with AsyncExitStack() as opened:
            connections = [await opened.enter_async_context(Connection(service.url)) for _ in range(CONNECTIONS)]
            await keep_pace(connections, ask, 200, 2)
            async with Usage(service.process.pid) as usage:
                tally = await keep_pace(connections, ask, A_SECOND, seconds)
            most = (await as_fast_as_it_goes(connections, ask, 5)).good_a_second
            began = perf_counter()
            page = await connections[0].get("/v1/jobs?limit=50")
            stage.figure("a page of jobs", (perf_counter() - began) * 1000, "ms")
            stage.require(page.status == 200, f"the list of jobs: {page.status}")
    stage.latencies("look-ups", tally, p99_at_most=20 if stage.is_sqlite else None)
    stage.figure("look-ups a second", tally.good_a_second, "", at_least=0.99 * A_SECOND if stage.is_sqlite else None)
    stage.figure("at most", most, "look-ups/s")
    stage.usage(usage, tally.good)
