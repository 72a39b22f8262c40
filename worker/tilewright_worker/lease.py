"""Keeping the authority over what an attempt is at, and hearing that nobody wants it any more."""

import threading
import time

from tilewright.attempt_client import AWAY, AttemptClient
from tilewright.contract.attempts import Renewal
from tilewright.errors import TilewrightError, UnexpectedAnswer
from tilewright_tuning.pulse import Pulse

RENEWALS_PER_LEASE = 5


class Lease:
    """Renews from a thread of its own, and says how far the work is by its `pulse`, which it stops at the end.

    While the service is away it goes on trying, for as long as the client has patience.
    """

    def __init__(self, client: AttemptClient, lease_seconds: float, pulse: Pulse) -> None:
        self._client, self._pulse = client, pulse
        self._interval = lease_seconds / RENEWALS_PER_LEASE
        self._closed = threading.Event()
        self._renewed_at = time.monotonic()
        self.is_cancelled = False
        self.lost: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Its last renewal may still be under way, and hurts nobody."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._interval):
            try:
                self._renew()
            except Exception as error:  # a thread that dies in silence would leave the main one without a lease
                self.lost = error
            if self.lost is not None or self.is_cancelled:
                self._pulse.stop()
                return

    def _renew(self) -> None:
        try:
            answer = self._client.renew(Renewal(progress=self._pulse.steps), patience_seconds=0)
        except (*AWAY, UnexpectedAnswer) as error:
            if time.monotonic() - self._renewed_at > self._client.patience_seconds:
                self.lost = error
        except TilewrightError as error:
            self.lost = error
        else:
            self._renewed_at = time.monotonic()
            self.is_cancelled = answer.cancel
