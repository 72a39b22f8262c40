"""Records on their way to the service, and what becomes of those who wait for them."""

from threading import Event

import pytest

from tilewright.contract.attempts import RecordBatch
from tilewright_worker.record_sender import BATCH, RecordSender

from .test_journal import RECORDS


def test_a_sender_that_is_flushed_has_sent_everything_in_batches() -> None:
    sizes: list[int] = []
    sender = RecordSender(lambda batch: sizes.append(len(batch.records)))
    for _ in range(BATCH + 3):
        sender.send(RECORDS[0])
    sender.flush()
    sender.close()
    assert sum(sizes) == BATCH + 3
    assert max(sizes) <= BATCH


def test_a_sender_that_is_closed_has_sent_what_was_left() -> None:
    sent: list[RecordBatch] = []
    sender = RecordSender(sent.append)
    sender.send(RECORDS[0])
    sender.close()
    assert [record for batch in sent for record in batch.records] == [RECORDS[0]]


def test_whatever_ends_the_sending_is_heard_by_who_flushes_or_sends_next() -> None:
    begun = Event()

    def fail(_: RecordBatch) -> None:
        begun.set()
        raise KeyError("a bug")

    sender = RecordSender(fail)
    sender.send(RECORDS[0])
    with pytest.raises(KeyError, match="a bug"):
        sender.flush()
    assert begun.is_set()
    with pytest.raises(KeyError, match="a bug"):
        sender.send(RECORDS[0])
    sender.close()
