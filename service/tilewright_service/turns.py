"""Requests take turns at the database. They wait on the event loop, where waiting holds no thread and no connection.

Who waited in a thread for the one writer kept that thread from the one who had the writer and needed a thread to
go on; see docs/decisions/0019-requests-take-turns.md.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tilewright.errors import Unavailable

WAIT_SECONDS = 2.0
"""A fifth of the lease of an attempt: who waited longer is told to come again."""


class Turns:
    """So many requests at a time, the others in the order in which they came."""

    def __init__(self, count: int) -> None:
        self._free = anyio.Semaphore(count)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Raises Unavailable after WAIT_SECONDS."""
        try:
            with anyio.fail_after(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise Unavailable(f"too many requests: {WAIT_SECONDS:g} s were not enough to get a turn") from None
        try:
            yield
        finally:
            self._free.release()
