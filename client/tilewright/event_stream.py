"""The events of one job, over as many connections as it takes."""

import time
from collections.abc import Iterator

from tilewright.contract.events import AnyEvent, UnknownEvent, parse_event
from tilewright.contract.jobs import JobSummary
from tilewright.errors import ServerUnreachable, Unavailable
from tilewright.transport import Transport, patient_pause, pauses

PATIENCE_SECONDS = 60.0
"""How long a service that was there may be away, such as for a restart, before its reader gives up."""


class EventStream:
    """Iterates over what happened after `last_event_id`, then over what happens, until the job ends."""

    def __init__(self, transport: Transport, job_id: int, last_event_id: int | None = None) -> None:
        self._transport = transport
        self._job_path = f"/v1/jobs/{job_id}"
        self._last_event_id = last_event_id
        self._is_over = False
        self._pauses = pauses()
        self._give_up = time.monotonic()
        """A service that never answered is not waited for."""

    def __iter__(self) -> Iterator[AnyEvent]:
        while not self._is_over:
            try:
                yield from self._connection()
                self._is_over = self._is_over or self._transport.get(self._job_path, JobSummary).state.is_final
            except (ServerUnreachable, Unavailable) as error:
                pause = patient_pause(next(self._pauses), error)
                if time.monotonic() + pause > self._give_up:
                    raise
            else:
                pause = next(self._pauses)
            if not self._is_over:
                time.sleep(pause)

    def _connection(self) -> Iterator[AnyEvent]:
        with self._transport.events(f"{self._job_path}/events", self._last_event_id) as stream:
            try:
                self._pauses = pauses()
                for message in stream:
                    event = self._transport.read(message.data, parse_event, UnknownEvent)
                    self._last_event_id = event.id
                    self._is_over = event.is_final
                    yield event
                    if self._is_over:
                        return
            finally:
                self._give_up = time.monotonic() + PATIENCE_SECONDS
