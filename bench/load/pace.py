"""Requests at a pace that the service has no say in: a late answer is late for all who come after."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from .connection import Answer, Connection

Ask = Callable[[Connection, int], Awaitable[Answer]]
"""Makes the request of this number."""


@dataclass
class Tally:
    statuses: Counter[int | str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    """Of 2xx, from when the request was due."""
    seconds: float = 0.0
    """From the first request to the last answer."""

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    @property
    def good(self) -> int:
        return len(self.latencies)

    @property
    def good_a_second(self) -> float:
        return self.good / self.seconds

    @property
    def refused(self) -> int:
        return sum(number for status, number in self.statuses.items() if status in (429, 503))

    @property
    def broken(self) -> dict[int | str, int]:
        """What should not be: no answer, or one that is neither good nor a polite refusal."""
        return {
            status: number
            for status, number in self.statuses.items()
            if not (isinstance(status, int) and (status < 300 or status in (429, 503)))
        }


async def keep_pace(connections: Sequence[Connection], ask: Ask, a_second: float, seconds: float) -> Tally:
    """So many requests a second, each on a connection that is free then, or on the next that gets free."""
    tally, began = Tally(), time.perf_counter()
    numbers = iter(range(int(a_second * seconds)))

    async def work(connection: Connection) -> None:
        for number in numbers:
            due = began + number / a_second
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            await _note(tally, ask(connection, number), due)

    await asyncio.gather(*(work(each) for each in connections))
    tally.seconds = time.perf_counter() - began
    return tally


async def as_fast_as_it_goes(connections: Sequence[Connection], ask: Ask, seconds: float) -> Tally:
    """Each connection asks again as soon as it has its answer."""
    tally, began = Tally(), time.perf_counter()
    deadline = began + seconds
    numbers = iter(range(10**9))

    async def work(connection: Connection) -> None:
        while (now := time.perf_counter()) < deadline:
            await _note(tally, ask(connection, next(numbers)), now)

    await asyncio.gather(*(work(each) for each in connections))
    tally.seconds = time.perf_counter() - began
    return tally


async def _note(tally: Tally, answer: Awaitable[Answer], due: float) -> None:
    try:
        status: int | str = (await answer).status
    except (OSError, EOFError, TimeoutError) as error:
        status = type(error).__name__
    tally.statuses[status] += 1
    if isinstance(status, int) and status < 300:
        tally.latencies.append(time.perf_counter() - due)
