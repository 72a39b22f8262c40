"""The real service with its real worker, and what one needs to be cruel to it."""

import os
import time
from contextlib import suppress

import psutil

import tilewright
from tilewright.contract.records import Record, parse_record

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
        """One that has evaluators: what only stands by has a server for them, and its tracker."""
        attempts = self.processes("tilewright_worker.child_main")
        return _kill_first([each for each in attempts if len(each.children(recursive=True)) > 2])

    def kill_worker(self) -> bool:
        """The parent of attempts."""
        return _kill_first(self.processes("tilewright_worker.embedded"))

    def has_worker(self) -> bool:
        return any(self.hub.client.workers())

    def attempt_sessions(self) -> set[int]:
        """Of attempts, and of the process that stands by for the next one: each is the leader of a session."""
        return {session for _, session in self._processes_of_attempts()}

    def attempts_left_over(self, worked: set[int], seconds: float = 3) -> list[psutil.Process]:
        """What is still there after a moment of sessions that worked; and all others, where more than one stands by."""
        deadline = time.monotonic() + seconds
        while (left := self._left_over(worked)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def records(self, job_id: int) -> dict[int, Record]:
        return {record.id: record for record in self.hub.client.records(job_id)}

    def measured(self, job_id: int) -> list[tuple[str, str]]:
        """Workload and candidate of all trials in the journal, which also shows what the store would not keep twice."""
        lines = (self.logs_dir / str(job_id) / "records.jsonl").read_text().splitlines()
        records = [parse_record(line) for line in lines]
        return [(record.workload_id, record.candidate) for record in records]

    def _left_over(self, worked: set[int]) -> list[psutil.Process]:
        found = self._processes_of_attempts()
        standing_by = {session for _, session in found} - worked
        return [process for process, session in found if session in worked or len(standing_by) > 1]

    def _processes_of_attempts(self) -> list[tuple[psutil.Process, int]]:
        """Each with its session. They are told where to leave their logs, and the slot gives them a session."""
        found, own_session = [], os.getsid(self.process.pid)
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                logs_dir, session = process.environ().get("TILEWRIGHT_LOGS_DIR"), os.getsid(process.pid)
                is_there = process.status() != psutil.STATUS_ZOMBIE
                if logs_dir == str(self.logs_dir) and session != own_session and is_there:
                    found.append((process, session))
        return found


def _kill_first(processes: list[psutil.Process]) -> bool:
    """Whether there was one."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            return True
    return False
