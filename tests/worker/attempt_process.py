"""The real service in a thread, and real attempts of it, each in a process of its own as a worker has them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.host import this_host
from tilewright_service.settings import Settings
from tilewright_service.store.lanes import WorkerFacts
from tilewright_service.store.queue import claim_next

from ..environment import environment
from ..service.in_thread import ServiceInThread
from ..services import order_of, service_thread

SECONDS = 120.0
TRIALS = 3


class TuningService(ServiceInThread):
    """Hands its jobs to whoever asks, as a dispatcher would."""

    def submit_workloads(self, *workloads: Workload, **options: Any) -> int:
        body = {"workloads": [each.model_dump() for each in workloads], "trials": TRIALS, **options}
        job_id: int = self.http.post("/v1/jobs", json=body).raise_for_status().json()["id"]
        return job_id

    def order(self) -> LaunchOrder:
        """Of an attempt at the next job."""
        host = this_host()
        worker = WorkerFacts("one", host.hostname, host.host_class, host.isas, cores=host.cores)
        with self.database.writing() as session:
            claim = claim_next(session, [worker], [worker])
        assert claim is not None
        return order_of(claim, self.database, self.url)

    def client(self) -> AttemptClient:
        return AttemptClient(self.order())


@contextmanager
def tuning_service(folder: Path, settings: Settings | None = None) -> Iterator[TuningService]:
    with service_thread(folder, settings) as (url, database), httpx2.Client(base_url=url, timeout=20) as http:
        yield TuningService(url, database, http)


class AttemptProcess:
    """`python -m tilewright_worker`, with its order."""

    def __init__(self, order: LaunchOrder, logs_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tilewright_worker"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), "TILEWRIGHT_LOGS_DIR": str(logs_dir)},
            start_new_session=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(order.model_dump_json() + "\n")
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        try:
            assert self.process.stderr is not None
            said = self.process.stderr.read()
            return self.process.wait(SECONDS), said
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stderr):
            assert pipe is not None
            if not pipe.closed:
                with suppress(BrokenPipeError):
                    pipe.close()
