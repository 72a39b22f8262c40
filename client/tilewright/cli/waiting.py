"""What a job that has not begun waits for."""

import time

from tilewright.contract.jobs import Job, JobState

NOTICE_SECONDS = 3.0
"""Whoever waits for so long is told what for."""

FOR_A_WORKER = "it waits for a worker to take it"


class Waiting:
    """Sees a job again and again."""

    def __init__(self) -> None:
        self._since: float | None = None

    def reason(self, job: Job) -> str | None:
        """As the service gives it; where it gives none for a job that waits for long, that is for a worker."""
        if job.state is not JobState.QUEUED:
            self._since = None
            return None if job.state.is_final else job.reason
        self._since = self._since or time.monotonic()
        has_waited = time.monotonic() - self._since >= NOTICE_SECONDS
        return job.reason or (FOR_A_WORKER if has_waited else None)
