"""The real application on a real database file, behind a real socket, without anything that runs attempts."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from running import workload

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import LaunchOrder, Start
from tilewright.contract.workers import AttemptKey, Worker
from tilewright_service.app import create_app
from tilewright_service.dispatch.engine import EngineState
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.endings import end_attempt
from tilewright_service.store.queue import claim_next
from tilewright_service.store.schema import upgrade


class IdleEngine:
    """Has a worker, and runs nothing."""

    is_embedded = False

    def launch(self, order: LaunchOrder) -> None:
        raise AssertionError("nothing is launched here")

    def kill(self, key: AttemptKey) -> None: ...

    def capacity(self) -> Sequence[Worker]:
        return [Worker(name="idle", hostname="here", cores=2)]

    def close(self) -> None: ...

    def list(self) -> EngineState:
        return EngineState()


class ServiceInThread:
    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.database = database
        self.http = httpx2.Client(base_url=url, timeout=20)

    def submit(self, height: int = 8, **options: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json={"workloads": [workload(height)], **options})
        answer.raise_for_status()
        return answer.json()

    def job(self, job_id: int) -> dict[str, Any]:
        return self.http.get(f"/v1/jobs/{job_id}").raise_for_status().json()

    def begin_attempt(self, start: Start | None = None) -> AttemptClient:
        """Take the next job from the queue, as the dispatcher would, and call home as its attempt."""
        with self.database.writing() as session:
            claim = claim_next(session, cores=2, free_cores=2, server_id="test", launch_seconds=60)
        assert claim is not None
        order = LaunchOrder(
            url=self.url, job_id=claim.job_id, attempt=claim.attempt, token=claim.token, threads=claim.threads
        )
        attempt = AttemptClient(order, patience_seconds=0)
        if start is not None:
            attempt.start(start)
        return attempt

    def lose(self, attempt: AttemptClient, reason: str = "it was lost") -> None:
        """What the dispatcher does when an attempt has gone silent."""
        with self.database.writing() as session:
            assert end_attempt(session, attempt.order.job_id, attempt.order.attempt, reason)


@contextmanager
def serving(data_dir: Path, settings: Settings | None = None) -> Iterator[ServiceInThread]:
    database = Database(f"sqlite:///{data_dir / 'tilewright.db'}")
    upgrade(database)
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings or Settings(), database, IdleEngine())
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    service = ServiceInThread(f"http://127.0.0.1:{listener.getsockname()[1]}", database)
    yield service
    service.http.close()
    app.state.stopping.set()
    server.should_exit = True
    thread.join(timeout=10)
    database.close()
