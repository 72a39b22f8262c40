"""Deletes, about once an hour, what is older than the settings say; one of the services on a database does it."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.retention import PAUSE_SECONDS, prune

FIRST_SECONDS = 60.0
"""After a start, which has better things to do."""
PERIOD_SECONDS = 3600.0

log = structlog.get_logger()


class Housekeeping:
    """A thread that sleeps nearly always. Whatever goes wrong is tried again an hour later."""

    def __init__(self, database: Database, settings: Settings, leads: Callable[[], bool]) -> None:
        self._database = database
        self._settings = settings
        self._leads = leads
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """It may be cut off between any two of its small transactions."""
        self._stopping.set()

    def tidy(self) -> None:
        """One round."""
        pruned = prune(self._database, self._settings)
        if pruned:
            log.info("pruned", **pruned)
        while self._database.give_back_space():
            self._stopping.wait(PAUSE_SECONDS)

    def _run(self) -> None:
        seconds = FIRST_SECONDS
        while not self._stopping.wait(seconds):
            seconds = PERIOD_SECONDS
            if not self._leads():
                continue
            try:
                self.tidy()
            except Exception as error:
                log.error("housekeeping_failed", error=repr(error))
