import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.candidates import Candidate
from tilewright.contract.records import FailureKind, NewRecord
from tilewright.contract.workload import Workload
from tilewright_tuning.trials import Failed, Measured
from tilewright_worker.journal import Journal, TuningLog
from tilewright_worker.provenance import make_record

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


def record(workload: Workload, candidate: Candidate, *latencies_us: float, attempt: int = 1) -> NewRecord:
    order = LaunchOrder(url="http://nowhere", job_id=7, attempt=attempt, token="none", threads=1)
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
    return tmp_path / "7"


def write(folder: Path, *records: NewRecord, attempt: int = 1) -> None:
    journal = Journal.of_attempt(folder, attempt)
    for each in records:
        journal.append(each)
    journal.close()


def test_a_journal_gives_back_what_was_written(folder: Path) -> None:
    write(folder, *RECORDS)
    assert list(Journal(folder).records()) == list(RECORDS)


def test_a_torn_last_line_is_dropped_and_writing_goes_on_after_the_last_whole_one(folder: Path) -> None:
    write(folder, *RECORDS[:2])
    path = folder / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    write(folder, RECORDS[2], attempt=2)
    assert list(Journal(folder).records()) == [RECORDS[0], RECORDS[2]]


def test_a_line_of_another_version_is_passed_over(folder: Path) -> None:
    write(folder, RECORDS[0])
    with (folder / "records.jsonl").open("a") as file:
        file.write('{"from": "the future"}\n')
    write(folder, RECORDS[1], attempt=2)
    assert list(Journal(folder).records()) == list(RECORDS[:2])


def test_a_first_attempt_begins_anew_and_keeps_the_old_folder_aside(folder: Path) -> None:
    write(folder, RECORDS[0])
    write(folder, RECORDS[1], attempt=1)
    assert list(Journal(folder).records()) == [RECORDS[1]]
    [aside] = [path for path in folder.parent.iterdir() if path != folder]
    assert aside.name.startswith("7.before-")
    assert list(Journal(aside).records()) == [RECORDS[0]]


def test_a_second_attempt_goes_on_in_the_folder_of_the_first(folder: Path) -> None:
    write(folder, RECORDS[0])
    write(folder, RECORDS[1], attempt=2)
    assert list(Journal(folder).records()) == list(RECORDS[:2])


def as_stock_tvm_sees(folder: Path) -> tuple[int, list[list[float]]]:
    """How many records, and the best latencies of each workload; from a process that knows nothing of this project."""
    files = [str(folder / f"database_{name}.json") for name in ("workload", "tuning_record")]
    script = subprocess.run([sys.executable, "-c", STOCK_TVM, *files], capture_output=True, text=True, timeout=60)
    assert script.returncode == 0, script.stderr
    count, *best = json.loads(script.stdout)
    return count, [[round(latency_us, 6) for latency_us in latencies] for latencies in best]


def test_stock_tvm_finds_the_best_record_with_its_latencies(folder: Path) -> None:
    folder.mkdir()
    log = TuningLog(folder)
    for each in (*RECORDS, record(DENSE, tiled(2))):
        log.append(DENSE, each)
    log.append(GROUPED, record(GROUPED, good_candidate(GROUPED), 5.0))
    assert as_stock_tvm_sees(folder) == (5, [[5.0], RECORDS[0].latencies_us])


def test_the_log_of_a_second_attempt_holds_everything_once(folder: Path) -> None:
    write(folder, *RECORDS)
    for attempt in (1, 2):
        log = TuningLog(folder)
        log.begin(DENSE)
        log.rewrite(Journal(folder).records())
        log.append(DENSE, record(DENSE, tiled(32), 5.0, attempt=attempt))
    assert as_stock_tvm_sees(folder)[0] == 4


def test_an_attempt_killed_while_it_wrote_the_log_does_not_stop_the_next_one(folder: Path) -> None:
    write(folder, RECORDS[0])
    TuningLog(folder).begin(DENSE)
    write(folder, RECORDS[1], attempt=2)
    for name in ("database_workload.json", "database_tuning_record.json"):
        (folder / name).write_text('[0, [["torn')
    log = TuningLog(folder)
    log.rewrite(Journal(folder).records())
    log.append(DENSE, RECORDS[2])
    assert as_stock_tvm_sees(folder)[0] == 3


def test_a_log_that_is_rewritten_never_forgets_its_workloads(folder: Path) -> None:
    """Killed in the middle, the next attempt has to find them."""
    write(folder, *RECORDS)
    log = TuningLog(folder)
    log.begin(DENSE)

    def killed() -> Iterator[NewRecord]:
        yield RECORDS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log.rewrite(killed())
    TuningLog(folder).rewrite(Journal(folder).records())
    assert as_stock_tvm_sees(folder)[0] == 3
