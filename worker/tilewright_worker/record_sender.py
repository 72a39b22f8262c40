"""Sends records to the service, in batches, while the search goes on."""

import threading
import time
from collections import deque
from collections.abc import Callable

from tilewright.contract.attempts import RecordBatch
from tilewright.contract.records import NewRecord

BATCH = 64
BATCH_SECONDS = 0.25
LONGEST_SECONDS = 5.0
SHARE = 0.05
"""Of an attempt's time that a batch takes to be acknowledged: a service that has much to do gets fewer, larger ones."""

LOOK_SECONDS = 0.2


class RecordSender:
    """Sends from a thread of its own; `flush` waits until all are acknowledged. No error of that thread is lost."""

    def __init__(self, send_batch: Callable[[RecordBatch], object]) -> None:
        self._send_batch = send_batch
        self._changed = threading.Condition()
        self._waiting: deque[NewRecord] = deque()
        self._is_sending = self._is_closed = self._hurries = False
        self._gather_seconds = BATCH_SECONDS
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="record-sender", daemon=True)
        self._thread.start()

    def send(self, record: NewRecord) -> None:
        """Raises the error that ended the sending, if one did: there is no use in measuring on."""
        with self._changed:
            self._raise_error()
            self._waiting.append(record)
            self._changed.notify_all()

    def flush(self, seconds: float | None = None) -> None:
        """Wait until every record is acknowledged, or the time is over. Raises what prevented it."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            self._hurries = True
            self._changed.notify_all()
            while (self._waiting or self._is_sending) and self._error is None and self._thread.is_alive():
                if deadline is not None and time.monotonic() > deadline:
                    break
                self._changed.wait(LOOK_SECONDS)
            self._hurries = False
            self._raise_error()

    @property
    def has_sent_all(self) -> bool:
        with self._changed:
            return self._error is None and not self._waiting and not self._is_sending

    def close(self) -> None:
        """End the thread once it has done what it is at; what was not flushed is not sent."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                began = time.monotonic()
                self._send_batch(RecordBatch(records=batch))
                self._gather_seconds = _gather_seconds(time.monotonic() - began)
                with self._changed:
                    self._is_sending = False
                    self._changed.notify_all()
        except BaseException as error:  # whatever it is, who sends next or waits for the rest has to hear of it
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next_batch(self) -> list[NewRecord]:
        """What has come within a moment of the first; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            self._changed.wait_for(
                lambda: self._hurries or self._is_closed or len(self._waiting) >= BATCH, self._gather_seconds
            )
            if self._is_closed:
                return []
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._is_sending = bool(batch)
            return batch

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


def _gather_seconds(sending_seconds: float) -> float:
    return min(max(BATCH_SECONDS, sending_seconds / SHARE), LONGEST_SECONDS)
