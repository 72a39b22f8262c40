"""How many connections may be open. One that is idle, as it owes the head of a request, makes room for a new one.

It is that of the address that holds the most idle ones, and there the oldest of those that never brought a request: a
thousand that a stranger holds keep nobody out.
"""

import resource
from typing import Protocol

from tilewright_service.metrics import Metrics

SPARE_FILES = 128
"""Of the process, for all but connections."""

MOST_FILES = 2**16


class Idler(Protocol):
    """A connection, as it is seen here."""

    address: str

    @property
    def is_fresh(self) -> bool:
        """It never brought a request."""

    def end(self, reason: str) -> None: ...


class Connections:
    """All that are open now."""

    def __init__(self, most: int, most_of_address: int, metrics: Metrics) -> None:
        self._most = max(min(most, raise_file_limit() - SPARE_FILES), 16)
        self._most_of_address = most_of_address
        self._metrics = metrics
        self._visitors: dict[str, Visitor] = {}
        self._count = 0

    def enter(self, connection: Idler) -> bool:
        """Whether there is room for it; another one may have been ended."""
        if not self._has_room(connection.address):
            self._metrics.connections_refused.inc()
            return False
        self._visitors.setdefault(connection.address, Visitor()).count += 1
        self._count += 1
        return True

    def leave(self, connection: Idler) -> None:
        visitor = self._visitors[connection.address]
        visitor.forget(connection)
        visitor.count -= 1
        self._count -= 1
        if not visitor.count:
            del self._visitors[connection.address]

    def note_idle(self, connection: Idler) -> None:
        self._visitors[connection.address].note(connection)

    def note_busy(self, connection: Idler) -> None:
        self._visitors[connection.address].forget(connection)

    def _has_room(self, address: str) -> bool:
        visitor = self._visitors.get(address)
        if visitor is not None and visitor.count >= self._most_of_address:
            return visitor.end_oldest()
        if self._count < self._most:
            return True
        return max(self._visitors.values(), key=lambda each: each.idle_count).end_oldest()


class Visitor:
    """One address."""

    def __init__(self) -> None:
        self.count = 0
        self._fresh: dict[Idler, None] = {}
        self._served: dict[Idler, None] = {}
        """Idle ones, the oldest first."""

    @property
    def idle_count(self) -> int:
        return len(self._fresh) + len(self._served)

    def end_oldest(self) -> bool:
        connection = next(iter(self._fresh), None) or next(iter(self._served), None)
        if connection is not None:
            connection.end("no room")
        return connection is not None

    def note(self, connection: Idler) -> None:
        self.forget(connection)
        (self._fresh if connection.is_fresh else self._served)[connection] = None

    def forget(self, connection: Idler) -> None:
        self._fresh.pop(connection, None)
        self._served.pop(connection, None)


def raise_file_limit() -> int:
    """To what is allowed; gives how many files and connections this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft
