import asyncio
import socket
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

from tilewright.contract.events import ProgressEvent
from tilewright.contract.jobs import WorkloadProgress, WorkloadState
from tilewright_service.callers import SERVICE
from tilewright_service.event_hub import BEGINNING, REMEMBERED, EventHub
from tilewright_service.metrics import Metrics
from tilewright_service.store.database import Database
from tilewright_service.store.events import events_after, tell
from tilewright_service.turns import Turns

from .in_thread import ServiceInThread

PROGRESS = WorkloadProgress(workload_id="0" * 64, name="invented", state=WorkloadState.RUNNING)


def add_events(database: Database, job_id: int, count: int) -> list[int]:
    """The ids of all that there are then."""
    with database.writing() as session:
        for _ in range(count):
            tell(session, job_id, ProgressEvent, PROGRESS)
    with database.reading() as session:
        return [event.id for event in events_after(session, job_id, 0, 5000)]


def ids_of(text: str) -> list[int]:
    return [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]


async def read(told: AsyncGenerator[str], last_id: int) -> list[int]:
    """Up to an event."""
    found: list[int] = []
    async for text in told:
        found += ids_of(text)
        if found and found[-1] >= last_id:
            break
    await told.aclose()
    return found


def test_a_reader_that_comes_late_misses_nothing_that_is_forgotten_meanwhile(service: ServiceInThread) -> None:
    job_id = service.submit()["id"]
    (last_id,) = add_events(service.database, job_id, 0)

    async def follow() -> list[int]:
        hub = EventHub(service.database, Turns(4), Metrics(), lambda: False, most=9, most_of_one=9)
        first = hub.follow(job_id, last_id, await hub.look(job_id, last_id, SERVICE), SERVICE)
        assert await anext(first) == BEGINNING
        keeping = asyncio.create_task(read(first, 10**9))
        await asyncio.sleep(0.1)
        assert await hub.look(job_id, last_id, SERVICE) is None  # all that is missing is remembered
        late = hub.follow(job_id, last_id, None, SERVICE)
        newest = add_events(service.database, job_id, REMEMBERED + 20)[-1]
        await asyncio.sleep(0.6)
        found = await asyncio.wait_for(read(late, newest), 10)
        keeping.cancel()
        return found

    assert asyncio.run(follow()) == add_events(service.database, job_id, 0)[1:]


def test_many_readers_of_one_job_get_every_event_once_also_those_that_read_slowly(service: ServiceInThread) -> None:
    job_id = service.submit()["id"]
    address = urlsplit(service.url)
    request = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    readers = [socket.create_connection((address.hostname or "", address.port or 0), timeout=10) for _ in range(20)]
    for reader in readers:
        reader.sendall(request)
    texts = [b""] * len(readers)
    for _ in range(5):
        add_events(service.database, job_id, 30)
        for number, reader in enumerate(readers[:10]):
            texts[number] += reader.recv(1 << 20)
    service.http.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
    for number, reader in enumerate(readers):
        while not texts[number].endswith(b"0\r\n\r\n"):
            part = reader.recv(1 << 20)
            assert part, "it ended before its end"
            texts[number] += part
        reader.close()
    expected = add_events(service.database, job_id, 0)
    assert [ids_of(unchunked(text)) for text in texts] == [expected] * len(readers)


def unchunked(answer: bytes) -> str:
    """What the framing says, and not what happens to stand in its lines."""
    rest = answer.partition(b"\r\n\r\n")[2]
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size, 16):
            return body.decode()
        body += rest[: int(size, 16)]
        assert rest[int(size, 16) :].startswith(b"\r\n")
        rest = rest[int(size, 16) + 2 :]
