"""Sends records to the service, in batches, while the search goes on."""

import queue
import threading
from collections.abc import Callable

from tilewright.contract.attempts import RecordBatch
from tilewright.contract.records import NewRecord

BATCH = 64
BATCH_SECONDS = 0.25


class RecordSender:
    """Sends from a thread of its own; `flush` waits until all are acknowledged."""

    def __init__(self, send_batch: Callable[[RecordBatch], object]) -> None:
        self._send_batch = send_batch
        self._queue: queue.Queue[NewRecord | None] = queue.Queue()
        """None ends the thread."""
        self._hurry = threading.Event()
        """Somebody waits for what is in the queue, so no batch waits for more."""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="record-sender", daemon=True)
        self._thread.start()

    def send(self, record: NewRecord) -> None:
        """Raises the error that ended the sending, if one did: there is no use in measuring on."""
        self._raise_error()
        self._queue.put(record)

    def flush(self) -> None:
        """Wait until every record is acknowledged. Raises what prevented it."""
        self._hurry.set()
        self._queue.join()
        self._hurry.clear()
        self._raise_error()

    def close(self) -> None:
        """Send what is left, unless sending has failed, and end the thread."""
        self._hurry.set()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            if self._error is None:
                try:
                    self._send_batch(RecordBatch(records=batch))
                except Exception as error:  # whatever it is, who sends next or waits for the rest has to hear of it
                    self._error = error
            for _ in batch:
                self._queue.task_done()

    def _next_batch(self) -> list[NewRecord]:
        """Nothing at the end."""
        batch: list[NewRecord] = []
        record = self._queue.get()
        while record is not None:
            batch.append(record)
            if len(batch) == 1:
                self._hurry.wait(BATCH_SECONDS)
            if len(batch) == BATCH or self._queue.empty():
                return batch
            record = self._queue.get()
        if batch:
            self._queue.put(None)
        return batch

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
