"""Whether this service is the one that dispatches, of those that share a database."""

from collections.abc import Callable

import structlog
from sqlalchemy.orm import Session

from tilewright_service.store.database import Database
from tilewright_service.store.leadership import Lead, current_lead, holds_lead, keep_lead, leave_lead, take_lead

PATIENCE_SECONDS = 5.0
"""A leader that was not seen to do anything for so long is followed by another."""

log = structlog.get_logger()


class Leader:
    """A file of SQLite has one service at a time, which always leads, and need not write it down every second."""

    def __init__(self, database: Database, server_id: str, clock: Callable[[], float]) -> None:
        self._database = database
        self._server_id = server_id
        self._clock = clock
        self._seen: Lead | None = None
        self._seen_at = 0.0
        self.leads = database.is_sqlite

    def keep(self) -> bool:
        """Whether this service leads now. To be asked about once a second."""
        if self._database.is_sqlite:
            return True
        before, self.leads = self.leads, self._keep_or_take()
        if self.leads != before:
            log.info("leads" if self.leads else "follows", server_id=self._server_id)
        return self.leads

    def may_write(self, session: Session) -> bool:
        """Whether it still leads; until the end of this transaction nobody takes over."""
        return self._database.is_sqlite or holds_lead(session, self._server_id)

    def leave(self) -> None:
        """Another need not wait, then."""
        if self.leads and not self._database.is_sqlite:
            with self._database.writing() as session:
                leave_lead(session, self._server_id)
        self.leads = False

    def _keep_or_take(self) -> bool:
        with self._database.writing() as session:
            if keep_lead(session, self._server_id):
                return True
            lead = current_lead(session)
            if lead != self._seen:
                self._seen, self._seen_at = lead, self._clock()
            is_still = self._clock() - self._seen_at > PATIENCE_SECONDS
            return (lead.leader is None or is_still) and take_lead(session, self._server_id, lead)
