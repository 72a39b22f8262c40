"""What an attempt could not deliver is delivered by whoever starts next on its host, for whichever job."""

import time
from pathlib import Path

import pytest

from tilewright.contract.attempts import Finished, RecordBatch, Stored
from tilewright.errors import InvalidRequest, ServerUnreachable
from tilewright_kernels.isa.host import host_class, this_host
from tilewright_worker.attempt import run_attempt
from tilewright_worker.job_folder import job_folder
from tilewright_worker.journal import ACKNOWLEDGED, DELIVERY_LOCK, Journal, Writer
from tilewright_worker.journal import RECORDS as RECORDS_FILE
from tilewright_worker.leftovers import deliver_leftovers

from .lonely_client import DATABASE, LonelyClient
from .test_journal import ELSEWHERE, RECORDS, read, write


def deliver(client: LonelyClient, logs_dir: Path, of_class: str | None = None) -> list[str]:
    """The candidates that were sent."""
    deliver_leftovers(client, logs_dir, DATABASE, of_class or host_class(), lambda: None)
    return [record.candidate for batch in client.records for record in batch.records]


def test_leftovers_of_all_jobs_of_the_database_are_sent_once(tmp_path: Path) -> None:
    write(job_folder(tmp_path, 7, DATABASE), *RECORDS[:2])
    write(job_folder(tmp_path, 8, DATABASE), RECORDS[2])
    write(job_folder(tmp_path, 9, ELSEWHERE), RECORDS[0])
    assert deliver(LonelyClient(), tmp_path) == [each.candidate for each in RECORDS]
    assert deliver(LonelyClient(), tmp_path) == []


def test_what_a_living_attempt_has_written_is_its_own_to_deliver(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, 7, DATABASE)
    write(folder, RECORDS[0])
    writer = Writer(Journal(folder), attempt=1)
    assert deliver(LonelyClient(), tmp_path) == []
    writer.close(has_delivered_all=False)
    assert deliver(LonelyClient(), tmp_path) == [RECORDS[0].candidate]


def test_what_another_class_of_hosts_has_measured_stays_for_it(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, 7, DATABASE)
    write(folder, *RECORDS)
    assert deliver(LonelyClient(), tmp_path, "another") == []
    assert read(folder) == list(RECORDS)


class Picky(LonelyClient):
    """Takes no batch with the second record in it."""

    def send_records(self, batch: RecordBatch) -> Stored:
        if RECORDS[1].candidate in [record.candidate for record in batch.records]:
            raise InvalidRequest("provenance names another attempt")
        return super().send_records(batch)


def test_a_record_that_is_refused_costs_only_itself(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, 7, DATABASE)
    write(folder, *RECORDS)
    assert deliver(Picky(), tmp_path) == [RECORDS[0].candidate, RECORDS[2].candidate]
    assert read(folder) == []


class Away(LonelyClient):
    def send_records(self, batch: RecordBatch) -> Stored:
        raise ServerUnreachable("nobody")


def test_what_could_not_be_sent_is_kept(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, 7, DATABASE)
    write(folder, *RECORDS)
    with pytest.raises(ServerUnreachable):
        deliver(Away(), tmp_path)
    assert read(folder) == list(RECORDS)


def test_an_attempt_delivers_before_it_takes_a_workload(tmp_path: Path) -> None:
    write(job_folder(tmp_path, 7, DATABASE), *RECORDS)
    client = LonelyClient()
    assert run_attempt(client, this_host(), tmp_path) == Finished()
    assert [record.candidate for batch in client.records for record in batch.records] == [r.candidate for r in RECORDS]


def test_a_folder_in_which_nothing_is_left_is_not_touched(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, 7, DATABASE)
    write(folder, *RECORDS)
    deliver(LonelyClient(), tmp_path)
    (folder / DELIVERY_LOCK).unlink()
    before = sorted(folder.iterdir())
    assert deliver(LonelyClient(), tmp_path) == []
    assert sorted(folder.iterdir()) == before
    write(folder, RECORDS[0])
    assert deliver(LonelyClient(), tmp_path) == [RECORDS[0].candidate]


def test_a_broken_word_of_what_the_service_has_is_as_none(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, 7, DATABASE)
    write(folder, *RECORDS)
    for word in ("", "many", "-1", "999999999"):
        (folder / ACKNOWLEDGED).write_text(word)
        assert deliver(LonelyClient(), tmp_path) == [each.candidate for each in RECORDS]


@pytest.mark.alone
def test_ten_thousand_finished_jobs_cost_no_time(tmp_path: Path) -> None:
    for job in range(10_000):
        folder = tmp_path / str(job)
        folder.mkdir()
        (folder / "database_id").write_text(f"{DATABASE}\n")
        (folder / RECORDS_FILE).write_text("0123456789\n")
        (folder / ACKNOWLEDGED).write_text("11\n")
    seconds = []
    for _ in range(3):
        begun = time.monotonic()
        assert deliver(LonelyClient(), tmp_path) == []
        seconds.append(time.monotonic() - begun)
    assert min(seconds) < 0.2
