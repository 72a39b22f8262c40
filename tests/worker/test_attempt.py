import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tilewright.attempt_client import AttemptClient
from tilewright.contract import AttemptBrief, AttemptFailed, Host, Isa, LaunchOrder, Renewal, RenewalAnswer, Start
from tilewright_worker import attempt

OLD_HOST = Host(host_class="old", hostname="here", cpu_model="an old one", cores=1, isas=(Isa.AVX2, Isa.X86_64))
ORDER = LaunchOrder(url="http://nowhere", job_id=1, attempt=1, token="none", threads=1)


class Briefing(AttemptClient):
    """Asks for a path, and has nobody to talk to."""

    target = "auto"

    def start(self, start: Start) -> AttemptBrief:
        return AttemptBrief(target=self.target, threads=1, lease_seconds=60, workloads=[])

    def renew(self, renewal: Renewal) -> RenewalAnswer:
        return RenewalAnswer(cancel=False, lease_seconds=60)


@pytest.fixture(autouse=True)
def _on_an_old_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(attempt, "this_host", lambda: OLD_HOST)
    cores = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, cores)  # an attempt leaves those that measure


def brief(target: str) -> AttemptBrief:
    return AttemptBrief(target=target, threads=1, lease_seconds=60, workloads=[])


def test_auto_is_the_strongest_path_of_the_host() -> None:
    assert attempt.resolved(brief("auto")) is Isa.AVX2
    assert attempt.resolved(brief("x86_64")) is Isa.X86_64


def test_a_target_that_the_host_cannot_run_fails_and_names_what_it_can(tmp_path: Path) -> None:
    client = Briefing(ORDER)
    client.target = "avx512_vnni"
    report = attempt.tune(ORDER, client, tmp_path / "1")
    assert isinstance(report, AttemptFailed)
    assert report.reason == "this host cannot run avx512_vnni; it has avx2, x86_64"
