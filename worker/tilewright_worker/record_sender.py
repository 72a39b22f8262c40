"""Sends records to the service, in batches, while the search goes on."""

import queue
import threading
from collections.abc import Callable

from tilewright.contract.attempts import RecordBatch
from tilewright.contract.records import NewRecord
from tilewright.errors import TilewrightError

BATCH = 64
BATCH_SECONDS = 0.25


class RecordSender:
    """Sends from a thread of its own; `flush` waits until all are acknowledged."""

    def __init__(self, send_batch: Callable[[RecordBatch], object]) -> None:
        self._send_batch = send_batch
        self._queue: queue.Queue[NewRecord] = queue.Queue()
        self._stop = threading.Event()
        self._error: TilewrightError | None = None
        self._thread = threading.Thread(target=self._run, name="record-sender", daemon=True)
        self._thread.start()

    def send(self, record: NewRecord) -> None:
        """Raises the error that ended the sending, if one did: there is no use in measuring on."""
        self._raise_error()
        self._queue.put(record)

    def flush(self) -> None:
        """Wait until every record is acknowledged. Raises what prevented it."""
        self._queue.join()
        self._raise_error()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            batch = self._next_batch()
            if not batch:
                continue
            if self._error is None:
                try:
                    self._send_batch(RecordBatch(records=batch))
                except TilewrightError as error:
                    self._error = error
            for _ in batch:
                self._queue.task_done()

    def _next_batch(self) -> list[NewRecord]:
        try:
            batch = [self._queue.get(timeout=BATCH_SECONDS)]
        except queue.Empty:
            return []
        self._stop.wait(BATCH_SECONDS)
        while len(batch) < BATCH and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
