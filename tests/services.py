"""The one way to start a service in tests and in bench: a process, as people start it, or a thread of this process."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptIdentity, Worker, WorkerState
from tilewright_service.addresses import open_listener
from tilewright_service.app import create_app
from tilewright_service.dispatch.engine import EngineView, Probe
from tilewright_service.server import HttpServer
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.leadership import database_id
from tilewright_service.store.queue import Claim
from tilewright_service.store.schema import upgrade
from tilewright_service.store.waiting import Capacity

from .environment import environment

STOP_SECONDS = 30.0


class DidNotStart(Exception):
    def __init__(self, exit_code: int, output: str) -> None:
        super().__init__(f"the service left with {exit_code}: {output}")
        self.exit_code, self.output = exit_code, output


class ServiceProcess:
    """`tilewright serve` on a free port, with data, logs and core locks under `folder`.

    It knows no `TILEWRIGHT_*` of whoever starts it, but those of `variables`, which may also hold anything else.
    """

    def __init__(self, folder: Path, python: Path | str = sys.executable, **variables: str) -> None:
        self.data_dir, self.logs_dir = folder / "data", folder / "logs"
        self._log = folder / "service.log"
        self._command = [python, "-m", "tilewright.cli", "serve", "--json"]
        self._environment = {
            **environment(),
            "TILEWRIGHT_PORT": "0",
            "TILEWRIGHT_DATA_DIR": str(self.data_dir),
            "TILEWRIGHT_LOGS_DIR": str(self.logs_dir),
            "TILEWRIGHT_LOCKS_DIR": str(folder / "locks"),
            **variables,
        }
        self.start()

    def start(self) -> None:
        """Returns when it answers, and raises DidNotStart when it ended instead."""
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        announcement = self.process.stdout.readline()
        if not announcement:
            self.process.communicate()
            raise DidNotStart(self.process.returncode, self._log.read_text())
        said = json.loads(announcement)
        self.url: str = said["url"]
        self.public_url: str | None = said["public_url"]
        # An attempt that outlives the service looks for it where it was.
        self._environment["TILEWRIGHT_PORT"] = self.url.rpartition(":")[2]

    def stop(self) -> int:
        """The exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Descendants that have this in their command line."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(word in argument for argument in process.cmdline()):
                    found.append(process)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def order_of(claim: Claim, database: Database, url: str) -> LaunchOrder:
    """As the dispatcher would give it to a worker."""
    with database.reading() as session:
        own_id = database_id(session)
    return LaunchOrder(
        url=url,
        database_id=own_id,
        job_id=claim.job_id,
        attempt=claim.attempt,
        token=claim.token,
        threads=claim.threads,
    )


class IdleEngine:
    """Has no worker."""

    is_embedded = False

    def view(self) -> EngineView:
        return EngineView()

    def launch(self, worker: str, order: LaunchOrder) -> None:
        raise AssertionError("nothing is launched here")

    def kill(self, worker: str, attempt: AttemptIdentity) -> None: ...

    def probe(self, worker: str, url: str) -> Probe:
        raise AssertionError("nothing is probed here")

    def close(self) -> None: ...


ONE_IDLE = Capacity((Worker(name="idle", hostname="here", cores=2, state=WorkerState.IDLE),))


@contextmanager
def service_thread(
    data_dir: Path,
    settings: Settings | None = None,
    database_url: str | None = None,
    capacity: Capacity | None = ONE_IDLE,
) -> Iterator[tuple[str, Database]]:
    """The real application on a real database, behind a real socket, without anything that runs attempts.

    The database is a file in `data_dir` unless another is named; `capacity` is what the service takes for its workers,
    one that has nothing to do unless told otherwise.
    """
    database = Database(database_url or f"sqlite:///{data_dir / 'tilewright.db'}")
    upgrade(database)
    app = create_app(settings or Settings(), database, IdleEngine())
    app.openapi = _document  # type: ignore[method-assign]
    app.state.capacity = lambda: capacity
    server = HttpServer(app, grace_seconds=1)
    with open_listener(Settings(port=0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield url, database
        finally:
            app.state.stopping.set()
            server.should_exit = True
            thread.join(timeout=10)
            database.close()


@cache
def _document() -> dict[str, Any]:
    """Every application has the same; the first body that one reads makes it, in 0.2 s."""
    return create_app(Settings()).openapi()
