"""The real service with its real worker, and what one needs to be cruel to it."""

import time
from contextlib import suppress

import psutil

import tilewright
from tilewright.contract import Record
from tilewright.contract.records import NewRecord

from ..services import ServiceProcess


class TuningService(ServiceProcess):
    def start(self) -> None:
        super().start()
        self.hub = tilewright.connect(self.url)

    def stop(self) -> int:
        self.hub.close()
        return super().stop()

    def kill(self) -> None:
        self.hub.close()
        super().kill()

    def kill_attempt(self) -> bool:
        return _kill_first(self.processes("tilewright_worker"))

    def kill_worker(self) -> bool:
        """The Dask worker process: the parent of attempts."""
        return _kill_first(self.processes("spawn_main"))

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
        return bool(environment.get("TILEWRIGHT_LOGS_DIR") == str(self.logs_dir))


def _kill_first(processes: list[psutil.Process]) -> bool:
    """Whether there was one."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            return True
    return False
