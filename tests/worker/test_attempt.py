import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import (
    AttemptBrief,
    BriefedWorkload,
    Failed,
    History,
    LaunchOrder,
    RecordBatch,
    Renewal,
    RenewalAnswer,
    Start,
    Stored,
)
from tilewright.contract.hosts import Host
from tilewright.contract.target import Isa
from tilewright.errors import UnsupportedTarget
from tilewright_kernels.isa.host import this_host
from tilewright_worker.attempt import run_attempt, select_isa

from ..tuning.examples import DENSE

OLD_HOST = Host(host_class="old", hostname="here", cpu_model="an old one", cores=1, isas=(Isa.AVX2, Isa.X86_64))
ORDER = LaunchOrder(url="http://nowhere", job_id=1, attempt=1, token="none", threads=1)


class LonelyClient(AttemptClient):
    """Asks for a path and a workload, and has nobody to talk to."""

    def __init__(self, target: str = "auto") -> None:
        super().__init__(ORDER)
        self._target = target

    def start(self, start: Start) -> AttemptBrief:
        briefed = BriefedWorkload(workload=DENSE, trials=3, seconds=None)
        return AttemptBrief(target=self._target, threads=1, lease_seconds=60, workloads=[briefed])

    def renew(self, renewal: Renewal) -> RenewalAnswer:
        return RenewalAnswer(cancel=False, lease_seconds=60)

    def history(self, workload_id: str, isa: Isa, neighbours: bool = False) -> History:
        return History(records=[], incumbent=None)

    def send_records(self, batch: RecordBatch) -> Stored:
        return Stored(stored=len(batch.records))


@pytest.fixture(autouse=True)
def _all_cores_again() -> Iterator[None]:
    """An attempt leaves those that measure."""
    cores = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, cores)


def test_auto_is_the_strongest_path_of_the_host() -> None:
    assert select_isa("auto", OLD_HOST) is Isa.AVX2
    assert select_isa("x86_64", OLD_HOST) is Isa.X86_64
    with pytest.raises(UnsupportedTarget):
        select_isa("avx_vnni", OLD_HOST)


def test_a_target_that_the_host_cannot_run_fails_and_names_what_it_can(tmp_path: Path) -> None:
    report = run_attempt(LonelyClient("avx512_vnni"), OLD_HOST, tmp_path / "1")
    assert isinstance(report, Failed)
    assert report.reason == "this host cannot run avx512_vnni; it has avx2, x86_64"


def test_a_log_that_cannot_be_written_fails_the_job_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "database_tuning_record.json").symlink_to("/dev/full")
    order = LonelyClient()
    order.order = ORDER.model_copy(update={"attempt": 2})
    report = run_attempt(order, this_host(), tmp_path / "1")
    assert isinstance(report, Failed)
    assert "cannot write its tuning log" in report.reason
    assert "No space left" in report.reason


@pytest.fixture
def full_journal(tmp_path: Path) -> Iterator[Path]:
    """The folder of a job whose journal is as large as a file may be; all other files have room."""
    (tmp_path / "1").mkdir()
    lines = "of another version\n" * 10_000
    (tmp_path / "1" / "records.jsonl").write_text(lines)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(lines), limits[1]))
    yield tmp_path / "1"
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_journal_that_cannot_be_written_fails_the_job_and_says_so(full_journal: Path) -> None:
    order = LonelyClient()
    order.order = ORDER.model_copy(update={"attempt": 2})
    report = run_attempt(order, this_host(), full_journal)
    assert isinstance(report, Failed)
    assert "cannot write its tuning log: [Errno 27] File too large" in report.reason


class ConfusedClient(LonelyClient):
    def history(self, workload_id: str, isa: Isa, neighbours: bool = False) -> History:
        raise ValueError("a bug")


def test_an_error_that_nobody_expects_is_a_crash_and_no_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a bug"):
        run_attempt(ConfusedClient(), this_host(), tmp_path / "1")
