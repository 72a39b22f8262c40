"""500 readers of events at 20 events a second, a fifth of them hanging up and coming back: is anything lost, or late?

`python -m bench.events` starts the service as a process, writes events of jobs that no worker can take as another
service on its database would, and has readers follow the jobs from processes of their own. A fifth of them hang up
after a second or two, again and again, and go on after the last event that they have seen. In the end the jobs are
cancelled, and every reader is compared with the table. It exits with 1 when an event was missed or came twice, a stream
did not end with the final event, the 99th percentile of the delays was above 1 s, or the service took more than half a
core.

`--jobs 1` has all readers at one job, so that each event goes out 500 times. `--database postgresql://... --services 2`
puts two services on one database.
"""

import argparse
import asyncio
import multiprocessing
import random
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
from sqlalchemy import select

from tests.services import ServiceProcess
from tilewright.contract.events import FINAL_EVENTS, ProgressEvent
from tilewright.contract.jobs import WorkloadProgress, WorkloadState
from tilewright_service.store.database import Database
from tilewright_service.store.events import tell
from tilewright_service.store.tables import EventRow

from .callers import workload

READERS, EVENTS_PER_SECOND, JOBS, SECONDS = 500, 20, 50, 30.0
MOST_P99, MOST_CORES = 1.0, 0.5
ONE_OF = 5
"""Readers: the one that hangs up."""

STAYS = (0.5, 3.0)
READERS_OF_ONE_NAME = 25
PROCESSES = 2
MOST_THREADS = 256
"""No worker has so many, so nothing but this program makes events."""

END_SECONDS = 30.0
READ_BYTES = 2**16
EVENT = re.compile(rb'data: \{"id":(\d+),"job_id":\d+,"type":"(\w+)".*"created_at":"([^"]+)"\}')
READERS_METRIC = "tilewright_event_readers "


@dataclass
class Reading:
    """What one reader got, over all of his connections."""

    job_id: int
    ids: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    connections: int = 0
    refused: int = 0
    """Times that he was told to come again."""
    has_end: bool = False


@dataclass
class Outcome:
    readings: list[Reading]
    told: dict[int, list[int]]
    """Ids of all events, by job."""
    cores: float
    """That the services took, all together."""
    cores_of_readers: float
    """That the busiest process of them took: near 1 it is they who are late."""

    @property
    def missed(self) -> int:
        return sum(len(set(self.told[each.job_id]) - set(each.ids)) for each in self.readings)

    @property
    def repeated(self) -> int:
        return sum(len(each.ids) - len(set(each.ids)) for each in self.readings)

    @property
    def disordered(self) -> int:
        return sum(each.ids != sorted(each.ids) for each in self.readings)

    @property
    def unended(self) -> int:
        return sum(not each.has_end for each in self.readings)

    @property
    def delays(self) -> list[float]:
        return sorted(delay for each in self.readings for delay in each.delays)

    def delay(self, share: float) -> float:
        delays = self.delays
        return delays[min(len(delays) - 1, int(share * len(delays)))]

    @property
    def is_good(self) -> bool:
        is_whole = not (self.missed or self.repeated or self.disordered or self.unended)
        return is_whole and self.delay(0.99) <= MOST_P99 and self.cores <= MOST_CORES


def follow_all(
    urls: Sequence[str], job_ids: Sequence[int], readers: int, seconds: float
) -> tuple[list[Reading], float]:
    """And how much of a core it took."""
    began = time.monotonic()
    readings = asyncio.run(_follow_all(urls, job_ids, readers, seconds))
    return readings, time.process_time() / (time.monotonic() - began)


async def _follow_all(urls: Sequence[str], job_ids: Sequence[int], readers: int, seconds: float) -> list[Reading]:
    readings = [Reading(job_ids[number % len(job_ids)]) for number in range(readers)]
    async with asyncio.timeout(seconds + 2 * END_SECONDS):
        await asyncio.gather(
            *(_follow(urls[number % len(urls)], reading, number) for number, reading in enumerate(readings))
        )
    return readings


async def _follow(url: str, reading: Reading, number: int) -> None:
    await asyncio.sleep(random.uniform(0, 1))
    while not reading.has_end:
        stay = random.uniform(*STAYS) if number % ONE_OF == 0 else None
        await _read_for(url, reading, number, stay)


async def _read_for(url: str, reading: Reading, number: int, stay: float | None) -> None:
    """Over one connection, until he hangs up or it ends."""
    reading.connections += 1
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        async with asyncio.timeout(stay):
            writer.write(_request(address.netloc, reading, number))
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 429 ")):
                reading.refused += 1
                await asyncio.sleep(random.uniform(0.5, 1.5))
                return
            assert head.startswith(b"HTTP/1.1 200 "), head
            await _read_events(reader, reading)
    except (TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _read_events(reader: asyncio.StreamReader, reading: Reading) -> None:
    rest = b""
    while not reading.has_end:
        data = await reader.read(READ_BYTES)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            _note(line, reading)


def _note(line: bytes, reading: Reading) -> None:
    """Without a parser: these processes share the cores with the service."""
    event = EVENT.match(line)
    if event is None:
        return
    number, kind, created_at = (each.decode() for each in event.groups())
    reading.ids.append(int(number))
    if kind == "progress":
        reading.delays.append(time.time() - datetime.fromisoformat(created_at).timestamp())
    reading.has_end = kind in FINAL_EVENTS


def _request(host: str, reading: Reading, number: int) -> bytes:
    lines = [
        f"GET /v1/jobs/{reading.job_id}/events HTTP/1.1",
        f"Host: {host}",
        f"Tilewright-User: reader-{number // READERS_OF_ONE_NAME}",
        *([f"Last-Event-ID: {reading.ids[-1]}"] if reading.ids else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def write_events(database_url: str, job_ids: Sequence[int], per_second: float, seconds: float) -> None:
    """As another service on the same database does."""
    database = Database(database_url)
    progress = WorkloadProgress(
        workload_id="0" * 64, name="n1_c8_h8w8_o8_k1x1_u8s8u8_nhwc", state=WorkloadState.RUNNING
    )
    started = time.monotonic()
    for number in range(round(per_second * seconds)):
        time.sleep(max(0.0, started + number / per_second - time.monotonic()))
        with database.writing() as session:
            tell(session, job_ids[number % len(job_ids)], ProgressEvent, progress)
    database.close()


def measure(
    folder: Path,
    readers: int,
    per_second: float,
    jobs: int,
    seconds: float,
    database: str | None = None,
    services: int = 1,
) -> Outcome:
    with _services(folder, database, services) as running:
        urls = [each.url for each in running]
        job_ids = [_submit(urls[0], number) for number in range(jobs)]
        database_url = database or f"sqlite:///{running[0].data_dir / 'tilewright.db'}"
        with multiprocessing.get_context("spawn").Pool(PROCESSES + 1) as pool:
            following = [
                pool.apply_async(follow_all, (urls, job_ids, readers // PROCESSES, seconds)) for _ in range(PROCESSES)
            ]
            _wait_for_readers(urls, readers)
            before, started = _cpu_seconds(running), time.monotonic()
            pool.apply(write_events, (database_url, job_ids, per_second, seconds))
            cores = (_cpu_seconds(running) - before) / (time.monotonic() - started)
            for job_id in job_ids:
                httpx2.post(f"{urls[0]}/v1/jobs/{job_id}/cancel?everybody=true").raise_for_status()
            found = [each.get() for each in following]
        readings = [reading for some, _ in found for reading in some]
        return Outcome(readings, _told(database_url, job_ids), cores, max(share for _, share in found))


@contextmanager
def _services(folder: Path, database: str | None, count: int) -> Iterator[list[ServiceProcess]]:
    options = {} if database is None else {"TILEWRIGHT_DATABASE": database}
    with ExitStack() as stack:
        folders = [folder / f"service{number}" for number in range(count)]
        for each in folders:
            each.mkdir()
        yield [stack.enter_context(ServiceProcess(each, **options)) for each in folders]


def _submit(url: str, number: int) -> int:
    body = {"workloads": [workload(number)], "threads": MOST_THREADS}
    job: int = httpx2.post(f"{url}/v1/jobs", json=body).raise_for_status().json()["id"]
    return job


def _wait_for_readers(urls: Sequence[str], count: int) -> None:
    """All but those that have hung up at the moment."""
    deadline = time.monotonic() + END_SECONDS
    while sum(map(_readers, urls)) < 0.9 * count:
        assert time.monotonic() < deadline, "the readers did not come"
        time.sleep(0.2)


def _readers(url: str) -> float:
    (line,) = (each for each in httpx2.get(f"{url}/metrics").text.splitlines() if each.startswith(READERS_METRIC))
    return float(line.removeprefix(READERS_METRIC))


def _told(database_url: str, job_ids: Sequence[int]) -> dict[int, list[int]]:
    told = defaultdict(list)
    database = Database(database_url)
    with database.reading() as session:
        question = select(EventRow.job_id, EventRow.id).where(EventRow.job_id.in_(job_ids)).order_by(EventRow.id)
        for job_id, event_id in session.execute(question):
            told[job_id].append(event_id)
    database.close()
    return told


def _cpu_seconds(services: Sequence[ServiceProcess]) -> float:
    times = [psutil.Process(each.process.pid).cpu_times() for each in services]
    return sum(each.user + each.system for each in times)


def describe(name: str, outcome: Outcome) -> str:
    p50, p99, most = (f"{outcome.delay(share):.2f}" for share in (0.5, 0.99, 1.0))
    resumed = sum(each.connections - 1 for each in outcome.readings)
    refused = sum(each.refused for each in outcome.readings)
    wrong = outcome.missed + outcome.repeated + outcome.disordered + outcome.unended
    counts = [len(outcome.readings), len(outcome.delays), resumed, refused, wrong]
    cells = [name, *counts, p50, p99, most, f"{outcome.cores:.2f}", f"{outcome.cores_of_readers:.2f}"]
    return f"| {' | '.join(map(str, cells))} |"


HEADER = """\
| readers at | readers | events received | resumed | refused | wrong | delay p50 s | p99 | max | cores | readers' |
|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--events-per-second", type=float, default=EVENTS_PER_SECOND)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--database")
    parser.add_argument("--services", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = measure(
            Path(folder),
            given.readers,
            given.events_per_second,
            given.jobs,
            given.seconds,
            given.database,
            given.services,
        )
    print(HEADER)
    print(describe(f"{given.jobs} jobs, {given.services} service", outcome))
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
