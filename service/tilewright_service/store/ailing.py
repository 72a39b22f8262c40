"""Hosts at which attempts fail, whatever they are at: they get no work until a probe finds them well."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tilewright_service.store.instant import now
from tilewright_service.store.tables import AilingHostRow

STRIKES = 3
"""So many attempts in a row that fail on one host, each at another workload: it is the host."""


class Ailment(NamedTuple):
    """Why a host gets no work."""

    reason: str
    since: datetime
    probes: int
    """Since it last tuned something."""


def set_aside_hosts(session: Session) -> dict[str, Ailment]:
    """By host name."""
    rows = session.scalars(select(AilingHostRow).where(AilingHostRow.set_aside_at.is_not(None)))
    return {row.hostname: Ailment(row.reason, row.set_aside_at, row.probes) for row in rows if row.set_aside_at}


def strike_host(session: Session, hostname: str, workload_id: str | None, reason: str) -> None:
    """An attempt failed there without a new record: at this workload, or before it had one."""
    row = _row(session, hostname)
    if workload_id is not None and row.last_workload_id == workload_id:
        return
    row.strikes += 1
    row.last_workload_id = workload_id
    row.reason = f"{row.strikes} attempts in a row failed here; the last one: {reason}"
    if row.strikes >= STRIKES:
        row.set_aside_at = row.set_aside_at or now()
    session.flush()


def set_host_aside(session: Session, hostname: str, reason: str) -> None:
    row = _row(session, hostname)
    row.reason = reason
    row.set_aside_at = row.set_aside_at or now()
    session.flush()


def note_failed_probe(session: Session, hostname: str, ailment: str) -> None:
    row = session.get(AilingHostRow, hostname)
    if row is not None:
        row.reason = ailment
        row.probes += 1
        session.flush()


def put_on_probation(session: Session, hostname: str) -> None:
    """A probe found it well. The next failure sets it aside again, for longer; what it tunes makes it well."""
    row = session.get(AilingHostRow, hostname)
    if row is not None:
        row.set_aside_at = None
        row.strikes = STRIKES - 1
        row.last_workload_id = None
        row.probes += 1
        session.flush()


def note_fit_host(session: Session, hostname: str) -> None:
    """It has tuned something."""
    row = session.get(AilingHostRow, hostname)
    if row is not None:
        session.delete(row)
        session.flush()


def _row(session: Session, hostname: str) -> AilingHostRow:
    row = session.get(AilingHostRow, hostname)
    if row is None:
        row = AilingHostRow(hostname=hostname, strikes=0, reason="", probes=0)
        session.add(row)
    return row
