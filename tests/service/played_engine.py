"""An engine without processes: workers that take orders, fall silent, leave and come back when they are told to."""

from dataclasses import dataclass, field

from tilewright import __version__
from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.hosts import Host
from tilewright.contract.target import Isa
from tilewright.contract.workers import AttemptEnd, AttemptIdentity, EndedAttempt, WorkerReport
from tilewright_service.dispatch.engine import EngineView, Member


@dataclass
class PlayedWorker:
    name: str
    hostname: str
    cores: int = 2
    isas: tuple[Isa, ...] = (Isa.X86_64,)
    is_here: bool = True
    silent_since: float | None = None
    ails: bool = False
    running: dict[AttemptIdentity, LaunchOrder] = field(default_factory=dict)
    ended: list[EndedAttempt] = field(default_factory=list)

    @property
    def host(self) -> Host:
        return Host(
            host_class="played",
            hostname=self.hostname,
            cpu_model="none",
            cores=self.cores,
            isas=self.isas,
            peak_gmacs={},
        )

    def end(self, attempt: AttemptIdentity, end: AttemptEnd) -> None:
        """Its process has ended so."""
        if self.running.pop(attempt, None) is not None:
            self.ended.append(EndedAttempt(identity=attempt, end=end))

    def leave(self) -> None:
        """It is killed, and its attempts with it."""
        self.is_here, self.silent_since = False, None
        self.running.clear()
        self.ended.clear()


class PlayedProbe:
    is_over = True

    def __init__(self, ailment: str | None) -> None:
        self.ailment = ailment


class PlayedEngine:
    is_embedded = False

    def __init__(self, workers: list[PlayedWorker]) -> None:
        self.workers = {worker.name: worker for worker in workers}
        self.now = 0.0
        self.away: str | None = None
        self.is_deaf = False
        """Orders that are given now reach nobody."""

    def view(self) -> EngineView:
        here = {} if self.away else {name: self._member(each) for name, each in self.workers.items() if each.is_here}
        return EngineView(here, self.away)

    def launch(self, worker: str, order: LaunchOrder) -> None:
        chosen = self.workers[worker]
        if chosen.is_here and chosen.silent_since is None and not self.is_deaf:
            chosen.running[order.identity] = order

    def kill(self, worker: str, attempt: AttemptIdentity) -> None:
        chosen = self.workers.get(worker)
        if chosen is not None and chosen.silent_since is None and not self.is_deaf:
            chosen.end(attempt, AttemptEnd(exit_code=-9, reason="it was killed"))

    def probe(self, worker: str, url: str) -> PlayedProbe:
        return PlayedProbe("it still ails" if self.workers[worker].ails else None)

    def close(self) -> None: ...

    def _member(self, worker: PlayedWorker) -> Member:
        silent = 0.0 if worker.silent_since is None else self.now - worker.silent_since
        report = WorkerReport(
            name=worker.name,
            version=__version__,
            host=worker.host,
            cores=worker.cores,
            running=list(worker.running),
            ended=worker.ended[-8:],
        )
        return Member(report, silent)
