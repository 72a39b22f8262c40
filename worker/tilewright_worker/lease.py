"""Keeping the authority over a job, and hearing that it was cancelled."""

import threading

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Renewal
from tilewright.errors import TilewrightError

RENEWALS_PER_LEASE = 5


class Lease:
    """Renews from a thread of its own. `ended` is set when the job was cancelled or the authority is gone."""

    def __init__(self, client: AttemptClient, lease_seconds: float) -> None:
        self._client = client
        self._interval = lease_seconds / RENEWALS_PER_LEASE
        self._wake = threading.Event()
        self._closed = False
        self._workload_id: str | None = None
        self.ended = threading.Event()
        self.lost: TilewrightError | None = None
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def work_on(self, workload_id: str) -> None:
        """Say what the attempt is at, now."""
        self._workload_id = workload_id
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(self._interval)
            self._wake.clear()
            if self._closed or self.ended.is_set():
                return
            self._renew()

    def _renew(self) -> None:
        try:
            answer = self._client.renew(Renewal(workload_id=self._workload_id))
        except TilewrightError as error:
            self.lost = error
            self.ended.set()
        else:
            if answer.cancel:
                self.ended.set()
