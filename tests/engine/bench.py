"""An engine, a scheduler that may go and come, and workers, as processes."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptEnd, AttemptIdentity
from tilewright_service.dispatch.cluster import start_engine
from tilewright_service.dispatch.dask_engine import DaskEngine
from tilewright_service.dispatch.engine import Member
from tilewright_service.settings import Settings

from ..environment import environment
from ..system.running_scheduler import running_scheduler, running_worker

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0
DATABASE, ANOTHER_DATABASE = "a" * 32, "b" * 32

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds:g} s"
        time.sleep(0.02)
    return found


def order(job_id: int, script: str = "sleep", attempt: int = 1, database_id: str = DATABASE) -> LaunchOrder:
    return LaunchOrder(
        url=f"http://127.0.0.1:1/{script}",
        database_id=database_id,
        job_id=job_id,
        attempt=attempt,
        token="secret",
        threads=1,
    )


def key(job_id: int, attempt: int = 1, database_id: str = DATABASE) -> AttemptIdentity:
    return order(job_id, attempt=attempt, database_id=database_id).identity


class Bench:
    """Each worker has core locks of its own, unless it is told to share them, and logs of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.port = folder, _free_port()
        self.url = f"tcp://127.0.0.1:{self.port}"
        self._stack = stack
        self.scheduler = self.start_scheduler()
        self.engine: DaskEngine = start_engine(Settings(engine=self.url))
        stack.callback(self.engine.close)

    def start_scheduler(self) -> "subprocess.Popen[str]":
        _, self.scheduler = self._stack.enter_context(running_scheduler(port=self.port))
        return self.scheduler

    def stop_scheduler(self) -> None:
        self.scheduler.kill()
        self.scheduler.communicate()

    def start_worker(self, locks: str | None = None, **variables: str) -> "RunningWorker":
        logs = self.folder / f"logs-{time.monotonic_ns()}"
        logs.mkdir()
        known = set(self.members())
        process = self._stack.enter_context(
            running_worker(
                self.url,
                environment(
                    PYTHONPATH=str(ROOT),
                    TILEWRIGHT_ATTEMPT_MODULE="tests.engine.stand_in",
                    TILEWRIGHT_LOGS_DIR=str(logs),
                    TILEWRIGHT_LOCKS_DIR=str(self.folder / (locks or f"locks-{logs.name}")),
                    **variables,
                ),
            )
        )
        name = wait_for(lambda: next(iter(set(self.members()) - known), None))
        return RunningWorker(name, process, logs, self)

    def members(self) -> dict[str, Member]:
        return dict(self.engine.view().members)


class RunningWorker:
    def __init__(self, name: str, process: "subprocess.Popen[str]", logs: Path, bench: Bench) -> None:
        self.name, self.process, self.logs, self._bench = name, process, logs, bench

    @property
    def member(self) -> Member:
        return self._bench.members()[self.name]

    def launch(self, what: LaunchOrder) -> None:
        self._bench.engine.launch(self.name, what)

    def runs(self, what: AttemptIdentity) -> bool:
        return self.member.report.running == [what]

    def end_of(self, what: AttemptIdentity) -> AttemptEnd | None:
        return next((each.end for each in self.member.report.ended if each.identity == what), None)

    def launches(self) -> list[tuple[int, int, int]]:
        """Job, attempt and process, of every attempt that began."""
        file = self.logs / "launches"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(job), int(attempt), int(pid)) for job, attempt, pid in (line.split() for line in lines)]

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def running_bench(folder: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(folder, stack)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
