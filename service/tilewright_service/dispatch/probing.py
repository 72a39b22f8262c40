"""Hosts that were set aside are probed now and then, and come back when they are well."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from tilewright.contract.workers import Worker, WorkerState
from tilewright_service.dispatch.engine import Engine, Probe
from tilewright_service.store.ailing import Ailment, note_failed_probe, put_on_probation
from tilewright_service.store.database import Database

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 300.0

log = structlog.get_logger()


@dataclass
class Pending:
    """What is known of the next probe of a host."""

    due: float
    probe: Probe | None = None


class Probing:
    """After 5 s, then 10, 20, and so on up to five minutes."""

    def __init__(self, database: Database, engine: Engine, url: Callable[[], str], clock: Callable[[], float]) -> None:
        self._database = database
        self._engine = engine
        self._url = url
        self._clock = clock
        self._pending: dict[str, Pending] = {}

    def look(self, workers: Collection[Worker], ailing: dict[str, Ailment]) -> None:
        """Begin the probes that are due, and take the answers that have come."""
        self._pending = {hostname: self._pending.get(hostname) or self._next(each) for hostname, each in ailing.items()}
        for hostname, pending in self._pending.items():
            if pending.probe is not None and pending.probe.is_over:
                self._take(hostname, pending.probe.ailment)
                self._pending[hostname] = self._next(ailing[hostname], 1)
            elif pending.probe is None and pending.due <= self._clock():
                pending.probe = self._begin(hostname, workers)

    def _next(self, ailment: Ailment, more_probes: int = 0) -> Pending:
        pause = min(FIRST_SECONDS * 2 ** (ailment.probes + more_probes), LONGEST_SECONDS)
        return Pending(self._clock() + pause)

    def _begin(self, hostname: str, workers: Collection[Worker]) -> Probe | None:
        """None where no worker of the host answers."""
        for worker in workers:
            if worker.hostname == hostname and worker.state is WorkerState.SET_ASIDE:
                return self._engine.probe(worker.name, self._url())
        return None

    def _take(self, hostname: str, ailment: str | None) -> None:
        with self._database.writing() as session:
            if ailment is None:
                put_on_probation(session, hostname)
            else:
                note_failed_probe(session, hostname, ailment)
        log.info("host_probed", hostname=hostname, ailment=ailment)
