"""Requests take turns at the database. They wait on the event loop, where waiting holds no thread and no connection.

Who waited in a thread for the one writer kept that thread from the one who had the writer and needed a thread to
go on; see docs/decisions/0019-requests-take-turns.md. Turns go round: by the kind of caller first, so that people
cannot keep attempts waiting, then by the caller, so that a thousand requests of one delay his own.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from tilewright.errors import Unavailable
from tilewright_service.callers import Caller, CallerKind

WAIT_SECONDS = 2.0
"""A fifth of the lease of an attempt: who waited longer is told to come again."""

Waiter = asyncio.Future[None]


class Turns:
    """So many at a time."""

    def __init__(self, count: int, note_wait: Callable[[float], None] = lambda seconds: None) -> None:
        self._free = count
        self._kinds: OrderedDict[CallerKind, OrderedDict[str, deque[Waiter]]] = OrderedDict()
        self._note_wait = note_wait

    @asynccontextmanager
    async def take(self, caller: Caller) -> AsyncIterator[None]:
        """Raises Unavailable after WAIT_SECONDS."""
        started = anyio.current_time()
        await self._acquire(caller)
        self._note_wait(anyio.current_time() - started)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, caller: Caller) -> None:
        if self._free:
            self._free -= 1
            return
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._line(caller).append(waiter)
        try:
            with anyio.fail_after(WAIT_SECONDS):
                await waiter
        except TimeoutError:
            self._leave(caller, waiter)
            raise Unavailable(f"too many requests: {WAIT_SECONDS:g} s were not enough to get a turn") from None
        except BaseException:
            self._leave(caller, waiter)
            raise

    def _line(self, caller: Caller) -> deque[Waiter]:
        return self._kinds.setdefault(caller.kind, OrderedDict()).setdefault(caller.name, deque())

    def _leave(self, caller: Caller, waiter: Waiter) -> None:
        """A turn that came at the moment of leaving is passed on."""
        if waiter.done() and not waiter.cancelled():
            self._release()
            return
        line = self._line(caller)
        if waiter in line:
            line.remove(waiter)
        self._tidy(caller)

    def _release(self) -> None:
        waiter = self._next()
        if waiter is None:
            self._free += 1
        else:
            waiter.set_result(None)

    def _next(self) -> Waiter | None:
        """Who is next; his kind and he go to the end of theirs."""
        while self._kinds:
            kind, lines = next(iter(self._kinds.items()))
            name, line = next(iter(lines.items()))
            waiter = line.popleft()
            self._kinds.move_to_end(kind)
            lines.move_to_end(name)
            self._tidy(Caller(kind, name))
            if not waiter.done():
                return waiter
        return None

    def _tidy(self, caller: Caller) -> None:
        lines = self._kinds[caller.kind]
        if not lines[caller.name]:
            del lines[caller.name]
        if not lines:
            del self._kinds[caller.kind]
