"""What Prometheus reads. Labels are of small sets that are known before: nobody who asks can add one."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
KEPT_SECONDS = 5.0
WAIT_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each

Gauges = Iterable[GaugeMetricFamily]


class Metrics:
    """Of one service, since its start. Whoever sees something happen counts it here."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("http_requests", "Answered requests", "method", "route", "status")
        self.seconds = self._histogram("http_request_seconds", "Time to the answer")
        self.refused = self._counter("http_refused", "Requests that were refused by their head, by reason", "reason")
        self.connections_refused = self._counter("connections_refused", "Connections for which there was no room")
        self.connections_closed = self._counter("connections_closed", "Closed by the service, by reason", "reason")
        self.readers = Gauge("tilewright_event_readers", "Who follows a job now", registry=self.registry)
        self.readers_cut_off = self._counter("event_readers_cut_off", "Readers of events that did not keep up")
        self.turn_seconds = self._histogram("turn_wait_seconds", "Waits for a turn at the database", "kind")
        self.write_seconds = self._histogram("write_transaction_seconds", "Transactions that write, to their commit")
        self.attempts_ended = self._counter("attempts_ended", "Attempts, by what ended them", "cause")
        self.leases_lost = self._counter("leases_lost", "Attempts that were not heard of in time")
        self.rounds = self._counter("reconciler_rounds", "Rounds of the reconciler")
        self.round_failed = self._counter("reconciler_rounds_failed", "Rounds that ended with an error")
        self.trials_stored = self._counter("trials_stored", "New records")
        self.measuring_seconds = self._counter("measuring_seconds", "What the stored trials cost")

    def note_trials(self, stored: int, seconds: Sequence[float]) -> None:
        """So many of them were new; the others had been counted."""
        self.trials_stored.inc(stored)
        self.measuring_seconds.inc(sum(seconds) * stored / len(seconds))

    def collect(self, ask: Callable[[], Gauges]) -> None:
        """Asks when it is scraped, and at most once in KEPT_SECONDS."""
        self.registry.register(_Kept(ask))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"tilewright_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"tilewright_{name}", text, labels, registry=self.registry, buckets=WAIT_BUCKETS)


class _Kept(Collector):
    def __init__(self, ask: Callable[[], Gauges]) -> None:
        self._ask = ask
        self._known: list[GaugeMetricFamily] = []
        self._asked_at = -KEPT_SECONDS

    def describe(self) -> Iterable[Metric]:
        """Nothing: to register would ask."""
        return []

    def collect(self) -> Iterator[Metric]:
        if time.monotonic() - self._asked_at >= KEPT_SECONDS:
            self._known, self._asked_at = list(self._ask()), time.monotonic()
        yield from self._known


class MetricsMiddleware:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in METHODS else "other"
                self._metrics.requests.labels(method, route_of(scope), message["status"]).inc()
                self._metrics.seconds.observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, count)


def route_of(scope: Scope) -> str:
    """The template of the path, such as `/v1/jobs/{job_id}`, of which there are only so many."""
    return str(getattr(scope.get("route"), "path_format", "none"))
