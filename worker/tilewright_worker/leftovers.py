"""Records that attempts on this host had measured and never delivered: whoever starts next sends them."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import RecordBatch
from tilewright.contract.records import NewRecord
from tilewright.errors import Conflict, InvalidRequest, NotFound, StaleAttempt, TooLarge
from tilewright_worker.job_folder import folders_of
from tilewright_worker.journal import (
    DELIVERY_LOCK,
    Journal,
    acknowledge_where,
    is_being_written,
    may_have_unacknowledged,
)
from tilewright_worker.lines import file_lock
from tilewright_worker.record_sender import BATCH

REFUSALS = (InvalidRequest, NotFound, Conflict, TooLarge)
"""What the service says of records that it will not have, today or later."""


def deliver_leftovers(
    client: AttemptClient, logs_dir: Path, database_id: str, host_class: str, on_batch: Callable[[], None]
) -> None:
    """Of all jobs of the database. Raises what the client raises while the service is away; nothing else stops it."""
    for folder in folders_of(logs_dir, database_id, may_have_unacknowledged):
        try:
            with file_lock(folder / DELIVERY_LOCK, waits=False) as is_alone:
                if is_alone:
                    _deliver(client, folder, host_class, on_batch)
        except OSError as error:  # of a folder that is another user's, or has just been deleted
            print(f"what {folder} may hold is left there: {error}", file=sys.stderr)


def send_what_is_taken(client: AttemptClient, records: Sequence[NewRecord]) -> None:
    """A record that the service will not have costs itself, and not those beside it."""
    try:
        client.send_records(RecordBatch(records=list(records)))
    except StaleAttempt:
        raise
    except REFUSALS as refusal:
        if len(records) == 1:
            print(f"record {records[0].candidate} is not taken: {refusal.detail}", file=sys.stderr)
            return
        for record in records:
            send_what_is_taken(client, [record])


def _deliver(client: AttemptClient, folder: Path, host_class: str, on_batch: Callable[[], None]) -> None:
    journal = Journal(folder)
    try:
        lines = list(journal.unacknowledged())
        writers = {record.provenance.attempt for _, record in lines if record is not None}
        alive = {attempt for attempt in writers if is_being_written(folder, attempt)}

        def is_left(record: NewRecord) -> bool:
            """Hosts of several classes may share a folder; each delivers its own."""
            return record.provenance.host_class == host_class and record.provenance.attempt not in alive

        left = [record for _, record in lines if record is not None and is_left(record)]
        for start in range(0, len(left), BATCH):
            send_what_is_taken(client, left[start : start + BATCH])
            on_batch()
        if lines:
            acknowledge_where(journal, is_left, most=lines[-1][0].end)
    finally:
        journal.close()
