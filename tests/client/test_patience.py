"""A client waits as long as the service asks for, and no longer than it has patience."""

import time

import httpx2
import pytest

from tilewright.contract.health import Health
from tilewright.errors import TooManyRequests
from tilewright.transport import Transport

REFUSAL = {"type": "urn:tilewright:problem:too-many-requests", "title": "no", "status": 429, "detail": "later"}


class Busy:
    """Refuses so many times."""

    def __init__(self, refusals: int, seconds: str) -> None:
        self.left, self._seconds = refusals, seconds
        self.asked = 0

    def __call__(self, _: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        if self.left:
            self.left -= 1
            return httpx2.Response(429, json=REFUSAL, headers={"Retry-After": self._seconds})
        return httpx2.Response(200, json={"status": "ok"})


def transport(busy: Busy, patience_seconds: float) -> Transport:
    return Transport("http://here", patience_seconds=patience_seconds, transport=httpx2.MockTransport(busy))


def test_what_was_refused_is_asked_again_after_the_time_that_was_said_even_if_it_is_not_repeatable() -> None:
    busy, started = Busy(1, "1"), time.monotonic()
    assert transport(busy, 10).post("/x", None, Health, repeatable=False).status == "ok"
    assert 1.0 <= time.monotonic() - started < 3.0
    assert busy.asked == 2


def test_a_longer_time_than_there_is_patience_is_not_waited_for() -> None:
    busy, started = Busy(5, "60"), time.monotonic()
    with pytest.raises(TooManyRequests) as caught:
        transport(busy, 10).get("/x", Health)
    assert time.monotonic() - started < 1.0
    assert caught.value.retry_after_seconds == 60
    assert busy.asked == 1


def test_a_date_of_a_proxy_is_passed_over() -> None:
    assert transport(Busy(1, "Wed, 25 Nov 2026 03:00:00 GMT"), 10).get("/x", Health).status == "ok"
