"""200 callers of all kinds at once: does the service answer everybody, and soon?

`python -m bench.callers` starts the real application on a new SQLite file, has eight attempts renew their leases and
send records, and lets callers submit, list, look up, follow events and knock with wrong tokens for 20 s; then the same
with strangers only. It exits with 1 when an answer was a 5xx, a connection failed, a lease was lost, or the 99th
percentile of the answers was above 0.5 s.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from tests.service.in_thread import WORKER
from tests.services import order_of, service_thread
from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.jobs import JobRequest
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.queue import claim_next
from tilewright_service.store.submissions import submit

CALLERS, SECONDS, MOST_P99 = 200, 20.0, 0.5
ATTEMPTS = 8
THINK_SECONDS = 0.8
RENEW_SECONDS = 1.0
STREAM_SECONDS = 4.0
TOKEN = "the-token-of-the-service"
HOST = {"host_class": "stand-in", "hostname": "here", "cpu_model": "none", "cores": 2, "isas": ["x86_64"]}
START = {"host": HOST, "process": "0" * 32}


@dataclass
class Tally:
    """What callers saw."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    """By kind of caller and status, such as `submit 201`."""

    def note(self, kind: str, status: int | str, seconds: float) -> None:
        self.seconds.append(seconds)
        self.statuses[f"{kind} {status}"] += 1

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def failures(self) -> dict[str, int]:
        """5xx and connections that failed; and what an attempt with a lease must never get."""
        bad = {key: count for key, count in self.statuses.items() if key.split()[-1][0] not in "234"}
        lost = {key: count for key, count in self.statuses.items() if key.startswith("attempt ") and " 2" not in key}
        return bad | lost


class Connection:
    """HTTP/1.1 with keep-alive, and no more: a load generator shares the cores with the service."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, token: str | None, body: Any = None) -> int:
        """The status of the answer, whose body is read to its end."""
        try:
            await self._send(method, path, token, body)
            status, headers = await self._head()
            await self._reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        return status

    async def follow(self, path: str, token: str, seconds: float) -> int:
        """Read a stream for a while, then hang up."""
        await self._send("GET", path, token, None)
        status, _ = await self._head()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await self._reader.read(4096):
                    pass
        self.close()
        return status

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _send(self, method: str, path: str, token: str | None, body: Any) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._address.netloc}", f"Content-Length: {len(content)}"]
        lines += ["Content-Type: application/json"] if content else []
        lines += [f"Authorization: Bearer {token}"] if token else []
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        await self._writer.drain()

    async def _head(self) -> tuple[int, dict[str, str]]:
        text = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


def workload(number: int) -> dict[str, Any]:
    """Another one for each number."""
    wide, high = divmod(number, 10_000)
    shape = {"height": 20 + high, "width": 8 + wide, "in_channels": 8, "out_channels": 8}
    return {"batch": 1, "kernel_size": [1, 1], **shape}


@dataclass
class Callers:
    """Everybody who calls, for a while."""

    url: str
    orders: Sequence[LaunchOrder]
    seconds: float
    tally: Tally = field(default_factory=Tally)

    async def call(self, kinds: Sequence[str], count: int) -> Tally:
        self._end = time.monotonic() + self.seconds
        people = [self._person(kinds[number % len(kinds)], number, count) for number in range(count)]
        await asyncio.gather(*(self._attempt(order) for order in self.orders), *people)
        return self.tally

    async def _person(self, kind: str, number: int, count: int) -> None:
        connection, turn = Connection(self.url), 0
        await asyncio.sleep(THINK_SECONDS * number / count)
        while time.monotonic() < self._end:
            await self._time_call(kind, partial(ASK[kind], connection, 1000 * number + turn))
            turn += 1
            await asyncio.sleep(THINK_SECONDS)
        connection.close()

    async def _attempt(self, order: LaunchOrder) -> None:
        connection, root = Connection(self.url), f"/v1/jobs/{order.job_id}/attempts/{order.attempt}"
        await self._time_call("attempt", lambda: connection.ask("POST", f"{root}/start", order.token, START))
        while time.monotonic() < self._end:
            await self._time_call("attempt", lambda: connection.ask("POST", f"{root}/renew", order.token, {}))
            await asyncio.sleep(RENEW_SECONDS)
        connection.close()

    async def _time_call(self, kind: str, ask: Callable[[], Awaitable[int]]) -> None:
        started = time.monotonic()
        try:
            status: int | str = await ask()
        except (OSError, asyncio.IncompleteReadError) as error:
            status = type(error).__name__
        waited = 0.0 if kind == "follow" else time.monotonic() - started
        self.tally.note(kind, status, waited)


ASK: dict[str, Callable[[Connection, int], Awaitable[int]]] = {
    "submit": lambda connection, number: connection.ask(
        "POST", "/v1/jobs", TOKEN, {"workloads": [workload(number)], "trials": 4}
    ),
    "list": lambda connection, _: connection.ask("GET", "/v1/jobs?limit=20", TOKEN),
    "read": lambda connection, _: connection.ask("GET", "/v1/jobs/1", TOKEN),
    "look-up": lambda connection, number: connection.ask(
        "POST", "/v1/schedules/lookup", TOKEN, {"workloads": [workload(number % 50)]}
    ),
    "follow": lambda connection, _: connection.follow("/v1/jobs/1/events", TOKEN, STREAM_SECONDS),
    "health": lambda connection, _: connection.ask("GET", "/readyz", None),
    "wrong token": lambda connection, number: connection.ask(
        "POST", "/v1/jobs", "a guess", {"workloads": [workload(number)]}
    ),
    "no token": lambda connection, _: connection.ask("GET", "/v1/jobs", None),
    "wrong attempt": lambda connection, _: connection.ask("POST", "/v1/jobs/1/attempts/1/renew", "a guess", {}),
}
STRANGERS = ("wrong token", "no token", "wrong attempt")


def claim_jobs(database: Database, url: str, count: int) -> list[LaunchOrder]:
    """Jobs, each with an attempt that was launched and has not called home yet."""
    orders = []
    for number in range(count):
        request = JobRequest.model_validate({"workloads": [workload(100_000 + number)], "trials": 4})
        with database.writing() as session:
            submit(session, request, None)
        with database.writing() as session:
            claim = claim_next(session, [WORKER], [WORKER])
        assert claim is not None
        orders.append(order_of(claim, database, url))
    return orders


def load_service(folder: Path, kinds: Sequence[str], seconds: float, database_url: str | None = None) -> Tally:
    """What CALLERS of these kinds and ATTEMPTS see of a new service with its database in `folder`, or at the URL."""
    with service_thread(folder, Settings(token=SecretStr(TOKEN)), database_url) as (url, database):
        return run_callers(url, claim_jobs(database, url, ATTEMPTS), kinds, CALLERS, seconds)


def run_callers(url: str, orders: Sequence[LaunchOrder], kinds: Sequence[str], count: int, seconds: float) -> Tally:
    """In a process of its own, so that callers do not wait for Python's lock with the service."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_call, (url, list(orders), kinds, count, seconds))


def _call(url: str, orders: list[LaunchOrder], kinds: Sequence[str], count: int, seconds: float) -> Tally:
    return asyncio.run(Callers(url, orders, seconds).call(kinds, count))


def describe(tally: Tally) -> str:
    median, p99, slowest = (f"{tally.quantile(share) * 1e3:.0f} ms" for share in (0.5, 0.99, 1.0))
    times = f"{len(tally.seconds)} answers, median {median}, p99 {p99}, slowest {slowest}"
    counts = ", ".join(f"{key}: {count}" for key, count in sorted(tally.statuses.items()))
    return f"{times}; failures: {tally.failures or 'none'}\n   {counts}"


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    is_good = True
    for name, kinds in (("all kinds", tuple(ASK)), ("strangers only", STRANGERS)):
        with tempfile.TemporaryDirectory() as folder:
            tally = load_service(Path(folder), kinds, SECONDS)
        is_good &= tally.quantile(0.99) <= MOST_P99 and not tally.failures
        print(f"{name}: {describe(tally)}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
