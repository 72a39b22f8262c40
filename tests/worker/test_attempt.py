"""An attempt that is alone: what it does with what fails, and where it puts the blame."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tilewright.contract.attempts import (
    Cause,
    Failed,
    Finished,
    History,
    Interrupted,
    KnownRecord,
    Publication,
    RecordBatch,
    Stored,
)
from tilewright.contract.candidates import GenericTrace, candidate_fields
from tilewright.contract.hosts import Host
from tilewright.contract.records import RecordState
from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest, StaleAttempt, UnsupportedTarget
from tilewright_kernels.isa.host import this_host
from tilewright_tuning.child_process import NoAnswer
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.pulse import Pulse
from tilewright_tuning.tuning import Tuned
from tilewright_worker import attempt as attempt_module
from tilewright_worker import workload_tuning
from tilewright_worker.attempt import run_attempt, select_isa
from tilewright_worker.job_folder import job_folder

from ..tuning.examples import DENSE, GROUPED, tiled
from .lonely_client import DATABASE, LonelyClient

OLD_HOST = Host(host_class="old", hostname="here", cpu_model="an old one", cores=1, isas=(Isa.AVX2, Isa.X86_64))
DEPTHWISE = GROUPED.model_copy(update={"groups": 8})
"""On x86_64 it is in the generic space."""


def test_auto_is_the_strongest_path_of_the_host() -> None:
    assert select_isa("auto", OLD_HOST) is Isa.AVX2
    assert select_isa("x86_64", OLD_HOST) is Isa.X86_64
    with pytest.raises(UnsupportedTarget):
        select_isa("avx_vnni", OLD_HOST)


def test_a_target_that_the_host_cannot_run_lies_at_the_host_and_says_what_it_can(tmp_path: Path) -> None:
    report = run_attempt(LonelyClient(DENSE, target="avx512_vnni"), OLD_HOST, tmp_path)
    assert isinstance(report, Failed)
    assert report.cause is Cause.HOST
    assert report.reason == "this host cannot run avx512_vnni; it has avx2, x86_64"


def test_an_attempt_takes_one_workload_after_the_other_until_there_is_none(tmp_path: Path) -> None:
    client = LonelyClient(DENSE, GROUPED)
    assert run_attempt(client, this_host(), tmp_path) == Finished()
    assert [each.workload_id for each in client.outcomes] == [DENSE.id, GROUPED.id]
    assert sum(len(batch.records) for batch in client.records) == 6
    assert not client.failures


def test_a_database_that_cannot_be_written_lies_at_the_host(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, 1, DATABASE)
    (folder / "database_tuning_record.json").symlink_to("/dev/full")
    report = run_attempt(LonelyClient(DENSE), this_host(), tmp_path)
    assert isinstance(report, Failed)
    assert report.cause is Cause.HOST
    assert "cannot write its tuning log" in report.reason


@pytest.fixture
def full_journal(tmp_path: Path) -> Iterator[Path]:
    """The logs with a job whose journal is as large as a file may be; all other files have room."""
    lines = "of another version\n" * 10_000
    (job_folder(tmp_path, 1, DATABASE) / "records.jsonl").write_text(lines)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(lines), limits[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_journal_that_cannot_be_written_lies_at_the_host(full_journal: Path) -> None:
    report = run_attempt(LonelyClient(DENSE), this_host(), full_journal)
    assert isinstance(report, Failed)
    assert report.cause is Cause.HOST
    assert "cannot write its tuning log: [Errno 27] File too large" in report.reason


class FirstFails(LonelyClient):
    """Something is wrong with DENSE, and with nothing else."""

    def __init__(self, error: Exception) -> None:
        super().__init__(DENSE, GROUPED)
        self._error = error

    def history(self, workload_id: str, isa: Isa, neighbours: bool = False) -> History:
        if workload_id == DENSE.id:
            raise self._error
        return super().history(workload_id, isa, neighbours)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("a bug"), "an error that nobody expected ended its tuning: ValueError: a bug"),
        (NoAnswer("no answer within 60 s"), "no evaluator could be made ready for it: no answer within 60 s"),
        (InvalidRequest("it is not valid"), "the attempt could not go on with it: it is not valid"),
    ],
)
def test_what_fails_with_one_workload_ends_that_one_and_the_attempt_goes_on(
    error: Exception, reason: str, tmp_path: Path
) -> None:
    client = FirstFails(error)
    assert run_attempt(client, this_host(), tmp_path) == Finished()
    [failure] = client.failures
    assert (failure.workload_id, failure.cause) == (DENSE.id, Cause.WORKLOAD)
    assert failure.reason == f"{reason} (errors.log on {this_host().hostname} has its traceback)"
    assert [each.workload_id for each in client.outcomes] == [GROUPED.id]


def test_what_the_attempt_cannot_even_say_ends_the_workload_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workload_tuning, "spread_us", lambda latencies_us: -1.0)
    client = LonelyClient(DENSE)
    assert run_attempt(client, this_host(), tmp_path) == Finished()
    [failure] = client.failures
    assert failure.reason.startswith(
        "what came of it cannot be told to the service, as a Publication that is not valid"
    )
    assert "spread_us" in failure.reason
    assert "pydantic" not in failure.reason


def test_a_host_without_room_ends_the_attempt_and_not_the_workload(tmp_path: Path) -> None:
    client = FirstFails(OSError(24, "Too many open files"))
    report = run_attempt(client, this_host(), tmp_path)
    assert isinstance(report, Failed)
    assert report.cause is Cause.HOST
    assert "Too many open files" in report.reason
    assert not client.failures


def test_an_attempt_without_authority_ends_without_blame(tmp_path: Path) -> None:
    with pytest.raises(StaleAttempt):
        run_attempt(FirstFails(StaleAttempt("a newer one has it")), this_host(), tmp_path)


def test_a_workload_that_does_not_fit_the_host_is_not_even_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Workload(batch=64, in_channels=64, height=112, width=112, out_channels=64, kernel_size=1)
    monkeypatch.setattr(attempt_module, "host_memory_bytes", lambda: 2 * 2**30)
    client = LonelyClient(large, DENSE)
    assert run_attempt(client, this_host(), tmp_path) == Finished()
    [failure] = client.failures
    assert failure.reason.endswith("GiB of memory in each of two evaluators; this host can give 0.8 GiB to each")
    assert [each.workload_id for each in client.outcomes] == [DENSE.id]


class Stopping(LonelyClient):
    """Somebody asks the attempt to leave while it sends its first record."""

    def __init__(self, pulse: Pulse) -> None:
        super().__init__(DENSE, trials=1000)
        self._pulse = pulse

    def send_records(self, batch: RecordBatch) -> Stored:
        self._pulse.stop()
        return super().send_records(batch)


def test_an_attempt_that_is_stopped_has_sent_what_it_measured(tmp_path: Path) -> None:
    pulse = Pulse()
    client = Stopping(pulse)
    assert run_attempt(client, this_host(), tmp_path, pulse) == Interrupted()
    sent = [record.candidate for batch in client.records for record in batch.records]
    written = (tmp_path / "1" / "records.jsonl").read_text().splitlines()
    assert len(sent) == len(written) > 0
    assert not client.outcomes


class Hostile(LonelyClient):
    """Knows a trace that killed TVM before there was a strict reader, and a good one."""

    def history(self, workload_id: str, isa: Isa, neighbours: bool = False) -> History:
        known = [(GenericTrace(trace=[[], [[5, 1]]]), 1.0), (tiled(4, DEPTHWISE), 20.0)]
        records = [
            KnownRecord(**candidate_fields(each), state=RecordState.MEASURED, latency_us=us) for each, us in known
        ]
        return History(records=records, incumbent=None)


def test_a_hostile_trace_in_the_history_costs_nothing_but_itself(tmp_path: Path) -> None:
    client = Hostile(DEPTHWISE, target="x86_64")
    assert run_attempt(client, this_host(), tmp_path) == Finished()
    assert not client.failures
    assert [each.stop_reason for each in client.outcomes] == ["trials"]


class Publishing(LonelyClient):
    """Keeps the publication, and fails with it."""

    publication: Publication

    def publish(self, publication: Publication) -> None:  # type: ignore[override]
        self.publication = publication
        raise StaleAttempt("it is enough")


def test_a_script_that_is_too_long_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EvaluatorPool, "write_script", lambda self, candidate: "x" * 2_000_000)
    client = Publishing(DENSE)
    with pytest.raises(StaleAttempt):
        run_attempt(client, this_host(), tmp_path)
    assert len(client.publication.script) == 1_000_000
    assert client.publication.script.endswith("too long to be kept")


def test_progress_grows_with_what_the_main_thread_does(tmp_path: Path) -> None:
    pulse = Pulse()
    seen: list[int] = []

    class Watching(LonelyClient):
        def history(self, workload_id: str, isa: Isa, neighbours: bool = False) -> History:
            seen.append(pulse.steps)
            return super().history(workload_id, isa, neighbours)

    run_attempt(Watching(DENSE, GROUPED), this_host(), tmp_path, pulse)
    first, *_, last = seen
    assert last - first > 20


def test_what_ended_an_evaluator_is_remembered_by_all_attempts_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avoided: list[set[str]] = []

    def crash(*arguments: Any, **options: Any) -> Tuned:
        pool = arguments[4]
        avoided.append(set(pool.avoided))
        pool.avoided.add("a" * 64)
        raise NoAnswer("no answer within 60 s")

    monkeypatch.setattr(workload_tuning, "tune", crash)
    for _ in range(2):
        assert run_attempt(LonelyClient(DENSE), this_host(), tmp_path) == Finished()
    assert avoided == [set(), {"a" * 64}]


def test_what_ended_an_evaluator_is_no_word_on_other_workloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    avoided: list[set[str]] = []

    def crash(*arguments: Any, **options: Any) -> Tuned:
        pool = arguments[4]
        avoided.append(set(pool.avoided))
        pool.avoided.add("a" * 64)
        raise NoAnswer("no answer within 60 s")

    monkeypatch.setattr(workload_tuning, "tune", crash)
    assert run_attempt(LonelyClient(DENSE, GROUPED), this_host(), tmp_path) == Finished()
    assert avoided == [set(), set()]
