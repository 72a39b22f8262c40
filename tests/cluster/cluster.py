"""A whole of services, a scheduler, workers on machines of their own and a database, to be cruel to."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from .end_state import EndState
from .faults import Faults
from .history import History
from .link import Link
from .machine import LOOPBACK, Machine
from .members import Scheduler, Service, Worker
from .namespaces import network
from .observations import Notebook, read_observations
from .observer import Observer
from .patience import until
from .postgres import Postgres, free_port
from .wall_clock import WallClock

STAND_IN, REAL = "tests.cluster.stand_in", "tests.cluster.real_attempt"
SETTINGS = {"TILEWRIGHT_LEASE_SECONDS": "10", "TILEWRIGHT_CANCEL_SECONDS": "4"}
INSECURE = {"TILEWRIGHT_INSECURE_ENGINE": "1"}
"""The networks here are nobody else's."""
TOKEN = "the-token-of-this-cluster"
JOIN_SECONDS = 40.0

Kind = Literal["sqlite", "postgresql"]
Engine = Literal["external", "embedded"]


@dataclass(frozen=True)
class Plan:
    """What a cluster is made of."""

    database: Kind = "sqlite"
    engine: Engine = "external"
    services: int = 1
    workers: int = 2
    attempts: str = STAND_IN
    """The module that they are: stand-ins, unless faults of TVM, of evaluators or of files are played."""
    has_network: bool = False
    """Whether each worker's machine has an address of its own: see `namespaces.py`."""
    settings: dict[str, str] = field(default_factory=dict)
    """Of the services, beside those of every bench."""


class Cluster:
    """Links stand before the scheduler, the database and each service as attempts see it; they are fine at first."""

    def __init__(self, folder: Path, plan: Plan, seed: int) -> None:
        self.folder, self.plan = folder, plan
        self._opened = ExitStack()
        self.notebook = Notebook(folder / "notes" / "bench.jsonl")
        self.clock_of_services, self.clock_of_workers = (WallClock(_made(folder / each)) for each in ("here", "there"))
        self.network = self._opened.enter_context(network()) if plan.has_network else None
        self.address = LOOPBACK if self.network is None else self.network.address
        self.machines = [self._machine(folder / f"host-{number}") for number in range(plan.workers)]
        self.postgres = Postgres(free_port()) if plan.database == "postgresql" else None
        if self.postgres is not None:
            self._opened.callback(self._end_postgres)
            self.database_link = Link((LOOPBACK, self.postgres.port), seed=seed)
            self._opened.callback(self.database_link.close)
        scheduler_port = free_port()
        self.scheduler = Scheduler(Machine.make(folder / "scheduler"), self.address, scheduler_port)
        self.scheduler_link = self._link(scheduler_port, seed + 1)
        self.services = [self._service(number, seed) for number in range(plan.services)]
        self.workers = [self._worker(machine) for machine in self.machines] if plan.engine == "external" else []

    @property
    def everything(self) -> list[Faults]:
        parts: list[Faults] = [*self.services, *self.workers]
        if self.plan.engine == "external":
            parts.append(self.scheduler)
        return parts if self.postgres is None else [*parts, self.postgres]

    @property
    def database_url(self) -> str:
        """Past all links."""
        if self.postgres is not None:
            return self.postgres.url()
        return f"sqlite:///{self.folder / 'service-0' / 'data' / 'tilewright.db'}"

    def start(self) -> None:
        """Returns when every worker has joined and every service has seen it."""
        if self.plan.engine == "external":
            self.scheduler.start()
            for worker in self.workers:
                worker.start()
        for service in self.services:
            service.start()
        self.observer = Observer(self.folder / "notes", [service.url for service in self.services], TOKEN)
        self._opened.callback(self.observer.close)
        for number in range(len(self.services)):
            until(lambda number=number: self._has_joined(number), JOIN_SECONDS, "the workers have joined")  # type: ignore[misc]

    def close(self) -> list[psutil.Process]:
        """Ends all; gives what was left over."""
        for each in reversed(self.everything):
            each.thaw()
        self._opened.close()
        for each in [*self.services, *self.workers, self.scheduler]:
            each.kill_all()
        time.sleep(0.5)
        left = list(self._processes())
        for process in left:
            process.kill()
        return left

    def check(self) -> list[str]:
        """The faults of what has happened so far."""
        seen = read_observations(self.folder)
        return History(seen, EndState.read(self.database_url)).faults()

    def history(self) -> History:
        return History(read_observations(self.folder), EndState.read(self.database_url))

    def stand_ins(self, host: str | None = None) -> list[psutil.Process]:
        """The processes of attempts, of one machine or of all; also those that only stand by."""
        folder = str(self.folder if host is None else self.folder / host)
        return [each for each in self._processes() if self.plan.attempts in each.cmdline() and _lives_in(each, folder)]

    def evaluators(self) -> list[psutil.Process]:
        """Of real attempts: children of the server that each attempt has for them."""
        found = []
        for attempt in self.stand_ins():
            with suppress(psutil.NoSuchProcess):
                found += [each for server in attempt.children() for each in server.children()]
        return found

    def _end_postgres(self) -> None:
        assert self.postgres is not None
        if self.postgres.is_running:
            self.postgres.thaw()
            self.postgres.stop()
        shutil.rmtree(self.postgres.folder, ignore_errors=True)

    def _machine(self, folder: Path) -> Machine:
        if self.network is None:
            return Machine.make(folder)
        address, prefix = self.network.add()
        return Machine.make(folder, address, prefix)

    def _service(self, number: int, seed: int) -> Service:
        machine = Machine.make(self.folder / f"service-{number}")
        port = free_port()
        home = self._link(port, seed + 2 + number)
        self.homes = [*getattr(self, "homes", []), home]
        settings = {
            "TILEWRIGHT_PORT": str(port),
            "TILEWRIGHT_DATA_DIR": str(machine.folder / "data"),
            "TILEWRIGHT_ATTEMPT_MODULE": self.plan.attempts,
            "TILEWRIGHT_HOST": self.address,
            "TILEWRIGHT_TOKEN": TOKEN,
            "TILEWRIGHT_PUBLIC_URL": f"http://{self.address}:{home.port}",
            **SETTINGS,
            **INSECURE,
            **self.plan.settings,
            **self.clock_of_services.environment(),
        }
        if self.plan.engine == "external":
            settings["TILEWRIGHT_ENGINE"] = f"tcp://{self.address}:{self.scheduler_link.port}"
        if self.postgres is not None:
            settings["TILEWRIGHT_DATABASE"] = self.postgres.url(port=self.database_link.port)
        return Service(f"service-{number}", machine, **settings)

    def _worker(self, machine: Machine) -> Worker:
        settings = {"TILEWRIGHT_ATTEMPT_MODULE": self.plan.attempts, **INSECURE, **self.clock_of_workers.environment()}
        return Worker(f"worker-{machine.name}", machine, f"tcp://{self.address}:{self.scheduler_link.port}", **settings)

    def _link(self, port: int, seed: int) -> Link:
        link = Link((self.address, port), host=self.address, seed=seed)
        self._opened.callback(link.close)
        return link

    def _has_joined(self, service: int) -> bool:
        items = self.observer.get("/v1/workers", service)["items"]
        wanted = self.plan.workers if self.plan.engine == "external" else 1
        return sum(each["state"] == "idle" for each in items) >= wanted

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            if _lives_in(process, str(self.folder)):
                yield process


@contextmanager
def cluster(plan: Plan, seed: int = 0, keep: Path | None = None) -> Iterator[Cluster]:
    """Running, and gone without a trace afterwards; with `keep` its files are left there."""
    folder = keep or Path(tempfile.mkdtemp(prefix="tilewright-cluster-"))
    made = Cluster(folder, plan, seed)
    try:
        made.start()
        yield made
    finally:
        made.close()
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _lives_in(process: psutil.Process, folder: str) -> bool:
    try:
        return folder in process.environ().get("PYTHONPATH", "")
    except (psutil.Error, OSError):
        return False
