"""What is new about a job: its events as they come, and word of a service that has fallen silent."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tilewright.cli.waiting import NOTICE_SECONDS
from tilewright.contract.jobs import Job
from tilewright.errors import ServerUnreachable, Unavailable

if TYPE_CHECKING:
    from tilewright.contract.events import AnyEvent
    from tilewright.http import Client

QUIET_SECONDS = 2.0
"""Without an event for so long, a job is looked at all the same: what it waits for changes without one."""


class News:
    """Iterates over the events of a job until it ends, and over None wherever there was none for a while."""

    def __init__(self, client: "Client", job_id: int, say: Callable[[str], None]) -> None:
        self._client, self._job_id, self._say = client, job_id, say
        self._heard: queue.SimpleQueue[AnyEvent | Exception | None] = queue.SimpleQueue()
        self._last_answer = time.monotonic()
        self._is_away = False

    def __iter__(self) -> "Iterator[AnyEvent | None]":
        threading.Thread(target=self._listen, name="events", daemon=True).start()
        while True:
            try:
                event = self._heard.get(timeout=QUIET_SECONDS)
            except queue.Empty:
                yield None
                continue
            if event is None:
                return
            if isinstance(event, Exception):
                raise event
            self._has_answered()
            yield event

    def job(self) -> Job | None:
        """As it is now. None, and after some seconds a notice, while the service does not answer: as long as its events
        are waited for, it may be starting again.
        """
        try:
            job = self._client.job(self._job_id)
        except (ServerUnreachable, Unavailable):
            self._note_absence()
            return None
        self._has_answered()
        return job

    def _listen(self) -> None:
        try:
            for event in self._client.events(self._job_id):
                self._heard.put(event)
            self._heard.put(None)
        except Exception as error:
            self._heard.put(error)

    def _has_answered(self) -> None:
        self._last_answer, self._is_away = time.monotonic(), False

    def _note_absence(self) -> None:
        if self._is_away or time.monotonic() - self._last_answer < NOTICE_SECONDS:
            return
        from tilewright.event_stream import PATIENCE_SECONDS

        self._is_away = True
        self._say(
            f"the service at {self._client.url} does not answer; it is waited for, {PATIENCE_SECONDS:.0f} s at most"
        )
