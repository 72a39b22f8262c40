"""A real service, as a process of its own, with stand-ins for attempts."""

import time
from pathlib import Path
from typing import Any

import httpx2
import psutil

from ..services import ServiceProcess

ROOT = Path(__file__).parents[2]
FIND_SECONDS = 30
CANCEL_SECONDS = 1.0
"""How long an attempt may take to stop by itself; 4 by default."""


class RunningService(ServiceProcess):
    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            PYTHONPATH=str(ROOT),
            TILEWRIGHT_ATTEMPT_MODULE="tests.service.stand_in",
            TILEWRIGHT_LEASE_SECONDS="2",
            TILEWRIGHT_CANCEL_SECONDS=str(CANCEL_SECONDS),
        )

    def start(self) -> None:
        super().start()
        self.http = httpx2.Client(base_url=self.url, timeout=20)

    def stop(self) -> int:
        self.http.close()
        return super().stop()

    def kill(self) -> None:
        self.http.close()
        super().kill()

    def attempt_process(self) -> psutil.Process:
        return self._process_with("stand_in")

    def worker_process(self) -> psutil.Process:
        return self._process_with("tilewright_worker.embedded")

    def submit(self, height: int = 8, **options: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json={"workloads": [workload(height)], **options})
        job: dict[str, Any] = answer.raise_for_status().json()
        return job

    def job(self, job_id: int) -> dict[str, Any]:
        job: dict[str, Any] = self.http.get(f"/v1/jobs/{job_id}").raise_for_status().json()
        return job

    def wait_for(self, job_id: int, *states: str, trials: int = 0, seconds: float = 30) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.job(job_id)
            if job["state"] in states and job["progress"]["trials"] >= trials:
                return job
            time.sleep(0.05)
        raise AssertionError(f"job {job_id} is still {job['state']}: {job['reason']}")

    def events(self, job_id: int) -> list[str]:
        text = self.http.get(f"/v1/jobs/{job_id}/events").raise_for_status().text
        return [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]

    def _process_with(self, word: str) -> psutil.Process:
        deadline = time.monotonic() + FIND_SECONDS
        while time.monotonic() < deadline:
            for process in self.processes(word):
                return process
            time.sleep(0.05)
        raise AssertionError(f"no process {word}")


def workload(height: Any = 8, **fields: Any) -> dict[str, Any]:
    shape = {"batch": 1, "in_channels": 8, "height": height, "width": 8, "out_channels": 8, "kernel_size": [1, 1]}
    return {**shape, **fields}
