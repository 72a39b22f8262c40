"""A real service, as a process of its own, with stand-ins for attempts."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil

HERE = Path(__file__).parent
SERVE = "from tilewright_service.serve import serve; from tilewright_service.settings import Settings; "
SERVE += "raise SystemExit(serve(Settings()))"
START_SECONDS = 30


class RunningService:
    def __init__(self, data_dir: Path, **settings: object) -> None:
        self.data_dir = data_dir
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(HERE),
            "TILEWRIGHT_ATTEMPT_MODULE": "stand_in",
            "TILEWRIGHT_LOCKS_DIR": str(data_dir.parent / "locks"),
            "TILEWRIGHT_DATA_DIR": str(data_dir),
            "TILEWRIGHT_PORT": "0",
            "TILEWRIGHT_LEASE_SECONDS": "2",
            **{f"TILEWRIGHT_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.start()

    def start(self) -> None:
        (self.data_dir / "url").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE], env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.url = self._wait_for_url()
        # An attempt that outlives the service looks for it where it was.
        self._environment["TILEWRIGHT_PORT"] = self.url.rpartition(":")[2]
        self.http = httpx2.Client(base_url=self.url, timeout=20)

    def stop(self) -> int:
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def attempt_process(self) -> psutil.Process:
        return self._process_with("stand_in")

    def worker_process(self) -> psutil.Process:
        return self._process_with("spawn_main")

    def submit(self, height: int = 8, **options: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/jobs", json={"workloads": [workload(height)], **options})
        answer.raise_for_status()
        return answer.json()

    def job(self, job_id: int) -> dict[str, Any]:
        return self.http.get(f"/v1/jobs/{job_id}").raise_for_status().json()

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
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for process in self.processes():
                with suppress(psutil.NoSuchProcess):
                    if any(word in argument for argument in process.cmdline()):
                        return process
            time.sleep(0.05)
        raise AssertionError(f"no process {word}")

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if (self.data_dir / "url").exists() and (url := (self.data_dir / "url").read_text()):
                return url
            if self.process.poll() is not None:
                raise AssertionError(self.process.communicate()[1].decode())
            time.sleep(0.05)
        raise AssertionError("the service did not start")


def workload(height: int = 8, **fields: Any) -> dict[str, Any]:
    shape = {"batch": 1, "in_channels": 8, "height": height, "width": 8, "out_channels": 8, "kernel_size": [1, 1]}
    return {**shape, **fields}
