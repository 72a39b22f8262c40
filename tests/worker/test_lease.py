"""The thread that renews: it says how far the work is, and never dies in silence."""

import time
from collections.abc import Callable
from contextlib import closing

import httpx2
import pytest

from tilewright.contract.attempts import Renewal, RenewalAnswer
from tilewright.errors import ServerUnreachable, StaleAttempt, StorageFull
from tilewright_tuning.pulse import Pulse
from tilewright_worker.lease import RENEWALS_PER_LEASE, Lease

from .lonely_client import LonelyClient

LEASE_SECONDS = 0.05 * RENEWALS_PER_LEASE


class Answering(LonelyClient):
    def __init__(self, answer: Callable[[], RenewalAnswer]) -> None:
        super().__init__()
        self._answer = answer

    def renew(self, renewal: Renewal, patience_seconds: float | None = None) -> RenewalAnswer:
        self.renewals.append(renewal)
        return self._answer()


def renewed() -> RenewalAnswer:
    return RenewalAnswer(cancel=False, lease_seconds=LEASE_SECONDS)


def raising(error: Exception) -> Callable[[], RenewalAnswer]:
    def answer() -> RenewalAnswer:
        raise error

    return answer


def test_renewals_say_how_far_the_work_is() -> None:
    pulse, client = Pulse(), Answering(renewed)
    with closing(Lease(client, LEASE_SECONDS, pulse)):
        for _ in range(3):
            pulse.beat()
            time.sleep(0.15)
    progress = [each.progress for each in client.renewals]
    assert progress == sorted(progress)
    assert progress[0] < progress[-1] == 3


def test_work_that_hangs_is_renewed_without_progress() -> None:
    client = Answering(renewed)
    with closing(Lease(client, LEASE_SECONDS, Pulse())):
        time.sleep(0.4)
    assert len(client.renewals) > 2
    assert {each.progress for each in client.renewals} == {0}


@pytest.mark.parametrize("error", [StaleAttempt("gone"), RuntimeError("a bug"), httpx2.DecodingError("garbage")])
def test_whatever_ends_the_renewing_stops_the_work_and_is_known(error: Exception) -> None:
    pulse = Pulse()
    with closing(Lease(Answering(raising(error)), LEASE_SECONDS, pulse)) as lease:
        assert pulse.wait(5)
        assert lease.lost is error


@pytest.mark.parametrize("error", [ServerUnreachable("nobody"), StorageFull("no room")])
def test_a_service_that_is_away_is_waited_for_and_then_given_up(error: Exception) -> None:
    pulse = Pulse()
    client = Answering(raising(error))
    client.patience_seconds = 1.0
    began = time.monotonic()
    with closing(Lease(client, LEASE_SECONDS, pulse)) as lease:
        assert pulse.wait(10)
        assert lease.lost is error
    assert time.monotonic() - began >= 1.0
    assert len(client.renewals) > 5


def test_a_cancelled_job_stops_the_work() -> None:
    pulse = Pulse()
    answer = RenewalAnswer(cancel=True, lease_seconds=LEASE_SECONDS)
    with closing(Lease(Answering(lambda: answer), LEASE_SECONDS, pulse)) as lease:
        assert pulse.wait(5)
        assert lease.is_cancelled
        assert lease.lost is None
