"""What a scrape asks the store, and the reconciler's last look at the workers."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily

from tilewright.contract.workers import WorkerState
from tilewright_service.store.database import Database
from tilewright_service.store.measures import Measures, measure
from tilewright_service.store.waiting import Capacity


def gauges(database: Database, capacity: Callable[[], Capacity | None]) -> Iterator[GaugeMetricFamily]:
    with database.reading() as session:
        yield from _of_store(measure(session, database.is_sqlite))
    yield from _of_workers(capacity() or Capacity())


def _of_store(seen: Measures) -> Iterator[GaugeMetricFamily]:
    jobs = GaugeMetricFamily("tilewright_jobs", "Jobs that have not ended", labels=["state"])
    for state, count in seen.jobs.items():
        jobs.add_metric([state], count)
    yield jobs
    yield GaugeMetricFamily("tilewright_oldest_queued_seconds", "Age of the oldest queued job", seen.oldest_seconds)
    yield GaugeMetricFamily("tilewright_attempts_open", "Attempts under way", seen.open_attempts)
    yield GaugeMetricFamily("tilewright_database_bytes", "Size of the database", seen.database_bytes)
    yield GaugeMetricFamily("tilewright_database_wal_bytes", "Of SQLite's write-ahead log", seen.wal_bytes)


def _of_workers(capacity: Capacity) -> Iterator[GaugeMetricFamily]:
    is_away = float(capacity.away is not None)
    yield GaugeMetricFamily("tilewright_engine_away", "1 while the workers cannot be found", is_away)
    workers = GaugeMetricFamily("tilewright_workers", "Workers that have joined", labels=["state"])
    counts = Counter(worker.state for worker in capacity.workers)
    for state in WorkerState:
        workers.add_metric([state], counts[state])
    yield workers
