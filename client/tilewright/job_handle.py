"""A job that was submitted, to wait for, to watch and to cancel."""

import time
from collections.abc import Callable, Iterator

from tilewright.contract.events import AnyEvent
from tilewright.contract.jobs import Job, JobState
from tilewright.errors import JobCancelled, JobFailed, ServerUnreachable, Unavailable, WaitTimeout
from tilewright.event_stream import PATIENCE_SECONDS
from tilewright.failed_workloads import failed_part
from tilewright.http import Client

POLL_SECONDS = 0.1


class JobHandle:
    """One job of a service; `job` is how it was when last asked."""

    def __init__(self, client: Client, job: Job) -> None:
        self._client = client
        self.job = job

    def __repr__(self) -> str:
        return f"<JobHandle of {self.job}>"

    @property
    def id(self) -> int:
        return self.job.id

    @property
    def state(self) -> JobState:
        return self.job.state

    def refresh(self) -> Job:
        self.job = self._client.job(self.id)
        return self.job

    def cancel(self, everybody: bool = False) -> Job:
        """Withdraw from it: it stops when nobody else wants it, or at once for `everybody`. What was measured is kept.

        Raises Conflict for a job of others only.
        """
        self.job = self._client.cancel(self.id, everybody)
        return self.job

    def events(self, last_event_id: int | None = None) -> Iterator[AnyEvent]:
        """What happened so far and what happens from now on, until the job ends."""
        return self._client.events(self.id, last_event_id)

    def wait(self, timeout: float | None = None, progress: Callable[[Job], None] | None = None) -> Job:
        """Return the job when it finished; `progress` sees it several times a second until then.

        Raises `JobFailed` with the workloads that failed, after the others have been tuned; `JobCancelled`; or after
        `timeout` seconds `WaitTimeout`: then the job goes on.
        A service that restarts is waited for.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if progress is not None:
                progress(self.job)
            if self.job.state.is_final:
                return require_success(self.job)
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(f"job {self.id} is still {self.job.state} after {timeout:g} seconds; it goes on")
            time.sleep(POLL_SECONDS)
            self._refresh_patiently(deadline)

    def _refresh_patiently(self, deadline: float | None) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        if deadline is not None:
            give_up = min(give_up, deadline)
        while True:
            try:
                self.refresh()
                return
            except (ServerUnreachable, Unavailable):
                if time.monotonic() >= give_up:
                    raise
            time.sleep(POLL_SECONDS)


def require_success(job: Job) -> Job:
    """The job, provided that it ended well. Raises JobFailed or JobCancelled."""
    if job.state is JobState.FAILED:
        raise JobFailed(f"job {job.id} failed: {failed_part(job) or job.reason or 'no reason was given'}")
    if job.state is JobState.CANCELLED:
        raise JobCancelled(f"job {job.id} was cancelled{': ' + job.reason if job.reason else ''}")
    return job
