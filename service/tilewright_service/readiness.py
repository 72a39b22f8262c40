"""Whether the service can do its work, part by part."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from tilewright.contract.health import AilingPart
from tilewright.errors import Unavailable
from tilewright_service.callers import SERVICE
from tilewright_service.dispatch.engine import Engine
from tilewright_service.store.database import Database
from tilewright_service.store.liveness import write_nothing
from tilewright_service.turns import Turns

KEPT_SECONDS = 1.5
ROUND_SECONDS = 10.0
"""The reconciler makes a round in one."""

LEAST_FREE_BYTES = 64 * 2**20

Look = Callable[[], Awaitable[str | None]]
"""What is wrong, to a person; None where all is well."""


class Readiness:
    """Looks when it is asked, and at most once in KEPT_SECONDS."""

    def __init__(
        self,
        database: Database,
        writing: Turns,
        engine: Engine,
        data_path: Path,
        last_round_seconds: Callable[[], float | None],
    ) -> None:
        self._database = database
        self._writing = writing
        self._engine = engine
        self._data_path = data_path
        self._last_round_seconds = last_round_seconds
        self._since: dict[str, datetime] = {}
        self._ailing: list[AilingPart] = []
        self._looked_at = -KEPT_SECONDS
        self._looking = asyncio.Lock()

    async def ailing(self) -> list[AilingPart]:
        """What is ill, and since when; empty when the service is ready."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= KEPT_SECONDS:
                self._ailing = await self._look()
                self._looked_at = time.monotonic()
        return self._ailing

    async def _look(self) -> list[AilingPart]:
        looks: dict[str, Look] = {
            "database": self._look_at_database,
            "disk": self._look_at_disk,
            "engine": self._look_at_engine,
            "reconciler": self._look_at_reconciler,
        }
        reasons = {part: await look() for part, look in looks.items()}
        now = datetime.now(UTC)
        self._since = {part: self._since.get(part, now) for part, reason in reasons.items() if reason is not None}
        return [
            AilingPart(part=part, reason=reason, since=self._since[part])
            for part, reason in reasons.items()
            if reason is not None
        ]

    async def _look_at_database(self) -> str | None:
        try:
            async with self._writing.take(SERVICE):
                await run_in_threadpool(self._write)
        except Unavailable as error:
            return str(error)
        except SQLAlchemyError as error:
            return f"the database takes no writes: {getattr(error, 'orig', error)}"
        return None

    def _write(self) -> None:
        with self._database.writing() as session:
            write_nothing(session)

    async def _look_at_disk(self) -> str | None:
        if not self._database.is_sqlite or not self._data_path.exists():
            return None
        free = shutil.disk_usage(self._data_path).free
        if free >= LEAST_FREE_BYTES:
            return None
        return f"the disk of the database is full: {free // 2**20} MiB are free, {LEAST_FREE_BYTES // 2**20} are needed"

    async def _look_at_engine(self) -> str | None:
        return self._engine.view().away

    async def _look_at_reconciler(self) -> str | None:
        seconds = self._last_round_seconds()
        if seconds is None or seconds <= ROUND_SECONDS:
            return None
        return f"the last round of the reconciler ended {seconds:.0f} s ago"
