"""The real service as people start it, with its real worker; and what one needs to be cruel to it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

import tilewright
from tilewright.contract import Record
from tilewright.contract.records import NewRecord

SERVE = (sys.executable, "-c", "from tilewright.cli import main; main()", "serve", "--port", "0")


class ServiceProcess:
    """`tilewright serve` with data, logs and core locks under `place`."""

    def __init__(self, place: Path, **environment: str) -> None:
        self.logs_dir = place / "logs"
        self._complaints = place / "service.log"
        self._command = (*SERVE, "--data-dir", str(place / "data"))
        self._environment = {
            **os.environ,
            "TILEWRIGHT_LOGS_DIR": str(self.logs_dir),
            "TILEWRIGHT_LOCKS_DIR": str(place / "locks"),
            **environment,
        }
        self.start()

    def start(self) -> None:
        with self._complaints.open("a") as complaints:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.PIPE, stderr=complaints, text=True
            )
        assert self.process.stdout is not None
        address = re.search(r"http://[0-9.:]+", self.process.stdout.readline())
        assert address is not None, self._complaints.read_text()
        self.hub = tilewright.connect(address.group())

    def stop(self) -> int:
        self.hub.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        self.hub.close()
        self.process.kill()
        self.process.wait()

    def kill_attempt(self) -> bool:
        return _kill_first(self.processes_with("tilewright_worker"))

    def kill_worker(self) -> bool:
        """The Dask worker process: the parent of attempts."""
        return _kill_first(self.processes_with("spawn_main"))

    def processes_with(self, word: str) -> list[psutil.Process]:
        """Descendants of the service with this in their command line."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(word in argument for argument in process.cmdline()):
                    found.append(process)
        return found

    def has_worker(self) -> bool:
        return any(self.hub.client.workers())

    def attempt_processes(self) -> list[psutil.Process]:
        """Attempts and evaluators, wherever they hang in the tree: they are told where to leave their logs."""
        return [process for process in psutil.process_iter() if self._is_of_attempt(process)]

    def attempts_left_over(self, seconds: float = 3) -> list[psutil.Process]:
        """Those that are still there after a moment."""
        deadline = time.monotonic() + seconds
        while (left := self.attempt_processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def records(self, job_id: int) -> dict[int, Record]:
        return {record.id: record for record in self.hub.client.records(job_id)}

    def measured(self, job_id: int) -> list[tuple[str, str]]:
        """Workload and candidate of all trials in the journal, which also shows what the store would not keep twice."""
        lines = (self.logs_dir / str(job_id) / "records.jsonl").read_text().splitlines()
        records = [NewRecord.model_validate_json(line) for line in lines]
        return [(record.workload_id, record.candidate) for record in records]

    def _is_of_attempt(self, process: psutil.Process) -> bool:
        try:
            environment, status = process.environ(), process.status()
        except psutil.Error:
            return False
        if status == psutil.STATUS_ZOMBIE:
            return False
        # The service has this from its own environment, the attempts from the slot that starts them.
        return environment.get("TILEWRIGHT_LOGS_DIR") == str(self.logs_dir)


@contextmanager
def running_service(place: Path, **environment: str) -> Iterator[ServiceProcess]:
    service = ServiceProcess(place, **environment)
    try:
        yield service
    finally:
        service.stop()


def _kill_first(processes: list[psutil.Process]) -> bool:
    """Whether there was one."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            return True
    return False
