"""Records on their way to the service, and what becomes of those who wait for them."""

import time
from threading import Event

import httpx2
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
    assert sender.has_sent_all
    sender.close()
    assert sum(sizes) == BATCH + 3
    assert max(sizes) <= BATCH


@pytest.mark.parametrize(
    "error", [KeyError("a bug"), RuntimeError("a bug"), httpx2.DecodingError("a bug"), SystemExit("a bug")]
)
def test_whatever_ends_the_sending_is_heard_by_who_flushes_or_sends_next(error: BaseException) -> None:
    begun = Event()

    def fail(_: RecordBatch) -> None:
        begun.set()
        raise error

    sender = RecordSender(fail)
    sender.send(RECORDS[0])
    with pytest.raises(type(error), match="a bug"):
        sender.flush()
    assert begun.is_set()
    with pytest.raises(type(error), match="a bug"):
        sender.send(RECORDS[0])
    assert not sender.has_sent_all
    sender.close()


@pytest.mark.parametrize(("seconds", "fewest", "most"), [(0.0, 5, 9), (0.05, 2, 3)])
def test_a_service_that_takes_its_time_gets_fewer_batches(seconds: float, fewest: int, most: int) -> None:
    """A record every 20 ms, for two seconds."""
    sizes: list[int] = []

    def take(batch: RecordBatch) -> None:
        time.sleep(seconds)
        sizes.append(len(batch.records))

    sender = RecordSender(take)
    for _ in range(100):
        sender.send(RECORDS[0])
        time.sleep(0.02)
    sent = len(sizes)
    sender.flush()
    sender.close()
    assert sum(sizes) == 100
    assert fewest <= sent <= most


def test_who_is_in_a_hurry_does_not_wait_for_a_service_that_is_away() -> None:
    back = Event()
    sender = RecordSender(lambda _: back.wait(30))
    sender.send(RECORDS[0])
    began = time.monotonic()
    sender.flush(seconds=0.5)
    assert time.monotonic() - began < 5
    assert not sender.has_sent_all
    back.set()
    sender.flush()
    assert sender.has_sent_all
    sender.close()
