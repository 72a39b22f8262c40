"""Where a load is put on: a service of its own, on a database of its own, without workers."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from tests.cluster.postgres import Postgres, free_port
from tests.cluster.results import Figure, Run
from tests.services import ServiceProcess
from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade

from .pace import Tally
from .usage import Usage

NO_SCHEDULER = "tcp://127.0.0.1:9"


@dataclass
class Stage:
    """A database that is filled before the service starts; what is measured, and what is wrong."""

    folder: Path
    database_url: str
    is_sqlite: bool
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def filling(self) -> Iterator[Database]:
        database = Database(self.database_url)
        upgrade(database)
        try:
            yield database
            if not self.is_sqlite:
                with database.migrating() as connection:
                    connection.execute(text("ANALYZE"))
        finally:
            database.close()

    @contextmanager
    def service(self, **variables: str) -> Iterator[ServiceProcess]:
        """It may not be killed by what is put on it, and ends when it is asked to."""
        settings = {"TILEWRIGHT_ENGINE": NO_SCHEDULER, "TILEWRIGHT_DATABASE": self.database_url, **variables}
        with ServiceProcess(self.folder, **settings) as service:
            yield service
            self.require(service.process.poll() is None, "the service has ended")

    def figure(
        self, what: str, value: float, unit: str, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        self.figures[what] = Figure(round(value, 3), unit, at_most, at_least)

    def latencies(self, kind: str, tally: Tally, p99_at_most: float | None = None) -> None:
        """In milliseconds."""
        self.figure(f"{kind} p50", tally.quantile(0.5) * 1000, "ms")
        self.figure(f"{kind} p99", tally.quantile(0.99) * 1000, "ms", at_most=p99_at_most)
        self.counts[kind] = self.counts.get(kind, 0) + tally.good
        self.require(not tally.broken, f"{kind}: {tally.broken}")

    def usage(self, usage: Usage, requests: int) -> None:
        """The service's time on a core for a request counts on a busy machine, too."""
        self.figure("a request takes", usage.service_seconds / max(requests, 1) * 1000, "ms of a core")
        self.figure("service", usage.service_cores, "cores")
        self.figure("generator", usage.own_cores, "cores")
        self.figure("resident", max(usage.megabytes), "MB")

    def require(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.faults.append(sentence)

    def run(self, name: str, seconds: float) -> Run:
        kind = "sqlite" if self.is_sqlite else "postgresql"
        return Run(f"load.{name}", kind, 0, round(seconds, 1), self.faults, self.figures, self.counts)


@contextmanager
def stage(database: str) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="tilewright-load-") as name:
        folder = Path(name)
        if database == "sqlite":
            (folder / "data").mkdir()
            yield Stage(folder, f"sqlite:///{folder / 'data' / 'tilewright.db'}", True)
            return
        with Postgres(free_port()) as server:
            yield Stage(folder, server.url(), False)
