"""What a scrape asks the store and the engine."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

from tilewright_service.dispatch.engine import Engine
from tilewright_service.store.database import Database
from tilewright_service.store.measures import Measures, measure


def gauges(database: Database, engine: Engine) -> Iterator[GaugeMetricFamily]:
    with database.reading() as session:
        yield from _of_store(measure(session, database.is_sqlite))
    yield from _of_engine(engine)


def _of_store(seen: Measures) -> Iterator[GaugeMetricFamily]:
    jobs = GaugeMetricFamily("tilewright_jobs", "Jobs that have not ended", labels=["state"])
    for state, count in seen.jobs.items():
        jobs.add_metric([state], count)
    yield jobs
    yield GaugeMetricFamily("tilewright_oldest_queued_seconds", "Age of the oldest queued job", seen.oldest_seconds)
    yield GaugeMetricFamily("tilewright_attempts_open", "Attempts under way", seen.open_attempts)
    yield GaugeMetricFamily("tilewright_database_bytes", "Size of the database", seen.database_bytes)
    yield GaugeMetricFamily("tilewright_database_wal_bytes", "Of SQLite's write-ahead log", seen.wal_bytes)


def _of_engine(engine: Engine) -> Iterator[GaugeMetricFamily]:
    view = engine.view()
    is_away = float(view.away is not None)
    yield GaugeMetricFamily("tilewright_engine_away", "1 while the workers cannot be found", is_away)
    yield GaugeMetricFamily("tilewright_workers_joined", "Workers that have joined", len(view.members))
