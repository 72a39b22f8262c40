"""Hosts at which attempts fail, whatever they are at: they get no work until a probe finds them well."""

import json
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tilewright_service.store.instant import now
from tilewright_service.store.tables import FOR_CHANGE, AilingHostRow
from tilewright_service.store.upsert import insert

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
    """An attempt ended there without a result: at this workload, or before it had one."""
    row = _row(session, hostname)
    failed_at = json.loads(row.failed_at)
    if workload_id is not None and workload_id in failed_at:
        return
    failed_at.append(workload_id)
    row.failed_at = json.dumps(failed_at[-STRIKES:])
    row.reason = f"{len(failed_at)} attempts in a row failed here; the last one: {reason}"
    if len(failed_at) >= STRIKES:
        row.set_aside_at = row.set_aside_at or now()
    session.flush()


def set_host_aside(session: Session, hostname: str, reason: str) -> None:
    row = _row(session, hostname)
    row.reason = reason
    row.set_aside_at = row.set_aside_at or now()
    session.flush()


def note_failed_probe(session: Session, hostname: str, ailment: str) -> None:
    _change(session, hostname, reason=ailment, probes=AilingHostRow.probes + 1)


def put_on_probation(session: Session, hostname: str) -> None:
    """A probe found it well. The next failure sets it aside again, for longer; what it tunes makes it well."""
    almost = json.dumps([None] * (STRIKES - 1))
    _change(session, hostname, set_aside_at=None, failed_at=almost, probes=AilingHostRow.probes + 1)


def note_fit_host(session: Session, hostname: str) -> None:
    """It has tuned something."""
    session.execute(delete(AilingHostRow).where(AilingHostRow.hostname == hostname))


def _change(session: Session, hostname: str, **values: object) -> None:
    session.execute(update(AilingHostRow).where(AilingHostRow.hostname == hostname).values(**values))


def _row(session: Session, hostname: str) -> AilingHostRow:
    """Locked, as several attempts may fail there at once."""
    new = {"hostname": hostname, "failed_at": "[]", "reason": "", "probes": 0}
    session.execute(insert(session, AilingHostRow).values(new).on_conflict_do_nothing())
    return session.get_one(AilingHostRow, hostname, with_for_update=FOR_CHANGE, populate_existing=True)
