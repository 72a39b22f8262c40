import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.candidates import Candidate
from tilewright.contract.records import FailureKind, NewRecord
from tilewright.contract.workload import Workload
from tilewright_tuning.trials import Failed, Measured
from tilewright_worker.job_folder import folders_of, job_folder, owner_of
from tilewright_worker.journal import Journal, Writer, is_being_written, read_record
from tilewright_worker.provenance import make_record
from tilewright_worker.tuning_log import TuningLog

from ..tuning.examples import DENSE, GROUPED, TARGET, good_candidate, tiled

STOCK_TVM = """
import json, sys
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

workloads, records = sys.argv[1:]
database = ms.database.JSONDatabase(path_workload=workloads, path_tuning_record=records)
best = {}
for record in database.get_all_tuning_records():
    [top] = database.get_top_k(record.workload, 1)
    top.trace.apply_to_schedule(Schedule(record.workload.mod), remove_postproc=False)
    best[record.workload.mod.script()] = [float(seconds) * 1e6 for seconds in top.run_secs]
assert not [name for name in sys.modules if name.startswith("tilewright")]
print(json.dumps([len(database), *sorted(best.values())]))
"""

HERE, ELSEWHERE = "0123abcd" * 4, "f" * 32


def record(workload: Workload, candidate: Candidate, *latencies_us: float, attempt: int = 1) -> NewRecord:
    order = LaunchOrder(url="http://nowhere", database_id=HERE, job_id=7, attempt=attempt, token="none", threads=1)
    trial = (
        Measured(candidate, list(latencies_us), seconds=0.1, slowdown=1.0)
        if latencies_us
        else Failed(candidate, 0.1, FailureKind.CRASH, "it crashed")
    )
    return make_record(order, TARGET, workload, trial)


RECORDS = (
    record(DENSE, tiled(4), 12.0, 11.0, 13.0),
    record(DENSE, tiled(8), 31.0, 30.0, 32.0),
    record(DENSE, tiled(16), 21.0, 20.0, 22.0),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return job_folder(tmp_path, 7, HERE)


def write(folder: Path, *records: NewRecord) -> None:
    journal = Journal(folder)
    journal.begin(DENSE)
    for each in records:
        journal.append(each)
    journal.close()


def read(folder: Path) -> list[NewRecord]:
    return [record for _, record in Journal(folder).unacknowledged() if record is not None]


def test_a_journal_gives_back_what_was_written(folder: Path) -> None:
    write(folder, *RECORDS)
    assert read(folder) == list(RECORDS)
    assert Journal(folder).workload(DENSE.id) == DENSE


@pytest.mark.parametrize(
    "torn", [b'{"workload_id": "', b"\0" * 300, b"\0\0\n", b"\xff\xfe\n", b'{"of": "the future"}\n']
)
@pytest.mark.parametrize("name", ["records.jsonl", "workloads.jsonl"])
def test_what_a_power_cut_or_another_version_left_is_passed_over(folder: Path, name: str, torn: bytes) -> None:
    write(folder, *RECORDS[:2])
    with (folder / name).open("ab") as file:
        file.write(torn)
    write(folder, RECORDS[2])
    journal = Journal(folder)
    journal.begin(GROUPED)
    assert read(folder) == list(RECORDS)
    assert [journal.workload(each.id) for each in (DENSE, GROUPED)] == [DENSE, GROUPED]


def test_a_journal_without_its_workloads_fails_nobody(folder: Path) -> None:
    write(folder, *RECORDS)
    (folder / "workloads.jsonl").write_bytes(b"\0" * 500)
    TuningLog(Journal(folder)).catch_up()
    assert read(folder) == list(RECORDS)


def test_a_folder_says_whose_it_is_and_is_never_moved(tmp_path: Path, folder: Path) -> None:
    write(folder, RECORDS[0])
    assert job_folder(tmp_path, 7, HERE) == folder == tmp_path / "7"
    other = job_folder(tmp_path, 7, ELSEWHERE)
    assert other.name == "7-ffffffff"
    assert job_folder(tmp_path, 7, ELSEWHERE) == other
    assert [owner_of(each) for each in (folder, other)] == [HERE, ELSEWHERE]
    assert list(folders_of(tmp_path, HERE)) == [folder]
    assert read(folder) == [RECORDS[0]]


def test_a_folder_that_does_not_say_whose_it_is_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "records.jsonl").write_text("of an earlier version\n")
    assert job_folder(tmp_path, 7, HERE).name == "7-0123abcd"
    (tmp_path / "7-0123abcd" / "database_id").write_bytes(b"\0" * 33)
    assert job_folder(tmp_path, 7, HERE).name == "7-0123abcd"


def test_what_was_acknowledged_is_not_read_again(folder: Path) -> None:
    write(folder, *RECORDS[:2])
    journal = Journal(folder)
    *_, (last, _) = journal.unacknowledged()
    journal.acknowledge(last.end)
    write(folder, RECORDS[2])
    assert read(folder) == [RECORDS[2]]
    (folder / ".acknowledged").write_bytes(b"\0\0\0")
    assert read(folder) == list(RECORDS)


def test_an_attempt_that_delivered_all_leaves_nothing_to_deliver(folder: Path) -> None:
    journal = Journal(folder)
    writer = Writer(journal, attempt=1)
    assert is_being_written(folder, 1)
    journal.append(RECORDS[0])
    writer.close(has_delivered_all=True)
    assert read(folder) == []
    assert not is_being_written(folder, 1)


def test_an_attempt_acknowledges_nothing_of_others(folder: Path) -> None:
    journal = Journal(folder)
    writer = Writer(journal, attempt=1)
    others = record(DENSE, tiled(32), 5.0, attempt=2)
    for each in (RECORDS[0], others, RECORDS[1]):
        journal.append(each)
    writer.close(has_delivered_all=True)
    assert read(folder) == [others, RECORDS[1]]


def write_many(folder: Path, attempt: int, count: int) -> None:
    journal = Journal(folder)
    log = TuningLog(journal)
    journal.begin(DENSE)
    for number in range(count):
        journal.append(record(DENSE, tiled(4), 10.0 + number, attempt=attempt))
        log.catch_up()
    log.catch_up(waits=True)


def test_several_attempts_write_at_once(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(folder, attempt, 20)) for attempt in (1, 2, 3)]
    for each in writers:
        each.start()
    for each in writers:
        each.join(120)
    assert [each.exitcode for each in writers] == [0, 0, 0]
    assert len(read(folder)) == 60
    assert all(read_record(line) for line in (folder / "records.jsonl").read_bytes().splitlines())
    assert as_stock_tvm_sees(folder)[0] == 60


def as_stock_tvm_sees(folder: Path) -> tuple[int, list[list[float]]]:
    """How many records, and the best latencies of each workload; from a process that knows nothing of this project."""
    files = [str(folder / f"database_{name}.json") for name in ("workload", "tuning_record")]
    script = subprocess.run([sys.executable, "-c", STOCK_TVM, *files], capture_output=True, text=True, timeout=60)
    assert script.returncode == 0, script.stderr
    count, *best = json.loads(script.stdout)
    return count, [[round(latency_us, 6) for latency_us in latencies] for latencies in best]


def test_stock_tvm_finds_the_best_record_with_its_latencies(folder: Path) -> None:
    journal = Journal(folder)
    log = TuningLog(journal)
    journal.begin(DENSE)
    for each in (*RECORDS, record(DENSE, tiled(2))):
        journal.append(each)
    log.catch_up()
    journal.begin(GROUPED)
    journal.append(record(GROUPED, good_candidate(GROUPED), 5.0))
    log.catch_up()
    assert as_stock_tvm_sees(folder) == (5, [[5.0], RECORDS[0].latencies_us])


def test_the_log_of_a_second_attempt_holds_everything_once(folder: Path) -> None:
    write(folder, *RECORDS)
    for attempt in (1, 2):
        journal = Journal(folder)
        journal.append(record(DENSE, tiled(32), 5.0, attempt=attempt))
        TuningLog(journal).catch_up()
        TuningLog(journal).catch_up()
    assert as_stock_tvm_sees(folder)[0] == 5


def test_an_attempt_killed_while_it_wrote_the_log_does_not_stop_the_next_one(folder: Path) -> None:
    write(folder, *RECORDS[:2])
    TuningLog(Journal(folder)).catch_up()
    for name in ("database_workload.json", "database_tuning_record.json"):
        with (folder / name).open("a") as file:
            file.write('[0, [["torn')
    write(folder, RECORDS[2])
    TuningLog(Journal(folder)).catch_up()
    assert as_stock_tvm_sees(folder)[0] == 3


@pytest.mark.parametrize("lost", ["database_workload.json", "database_tuning_record.json", ".database_reached.json"])
def test_a_log_that_a_power_cut_shortened_is_made_anew(folder: Path, lost: str) -> None:
    write(folder, *RECORDS)
    TuningLog(Journal(folder)).catch_up()
    (folder / lost).write_bytes((folder / lost).read_bytes()[:10])
    TuningLog(Journal(folder)).catch_up()
    assert as_stock_tvm_sees(folder)[0] == 3
