"""A worker as the engine knows it: asked for news again and again, one question at a time."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from distributed.core import ConnectionPool
from pydantic import ValidationError

from tilewright.contract.workers import AttemptEnd, AttemptIdentity, EndedAttempt, WorkerReport
from tilewright_service.dispatch.engine import Member

HOLD_SECONDS = 1.0
"""A worker that has no news says so after so long."""
ANSWER_SECONDS = 2.0
SILENT_ANSWER_SECONDS = 5.0
"""The next questions to a worker that did not answer wait longer, so that connections do not pile up at it."""
RETRY_SECONDS = 0.5
TRIES = 3
UNDELIVERED = 32
"""So many launches that could not be delivered are remembered."""

log = structlog.get_logger()


class Undelivered(Exception):
    """Why is a phrase to a person."""


class KnownWorker:
    """Lives in the event loop of its engine; `clock` is that of the engine."""

    def __init__(
        self, address: str, pool: ConnectionPool, clock: Callable[[], float], on_change: Callable[[], None]
    ) -> None:
        self.address = address
        self.is_listed = True
        self.report: WorkerReport | None = None
        self.is_refused = False
        """Nobody was there at all, when it was asked last."""
        self._pool, self._clock, self._on_change = pool, clock, on_change
        self._heard_at = clock()
        self._revision = 0
        self._undelivered: dict[AttemptIdentity, EndedAttempt] = {}
        self._conversation = asyncio.get_running_loop().create_task(self._converse())

    def forget(self) -> None:
        self._conversation.cancel()
        self._pool.remove(self.address)

    @property
    def silent_seconds(self) -> float:
        return max(0.0, self._clock() - self._heard_at)

    def member(self) -> Member | None:
        """None before its first report."""
        report = self.report
        if report is None:
            return None
        told = {*report.running, *(each.identity for each in report.ended)}
        undelivered = [each for identity, each in self._undelivered.items() if identity not in told]
        if undelivered:
            report = report.model_copy(update={"ended": [*report.ended, *undelivered]})
        return Member(report, self.silent_seconds)

    def note_undelivered(self, attempt: AttemptIdentity, reason: str) -> None:
        """It shows as an attempt that ended, for nobody's fault; the worker's own word counts more."""
        end = AttemptEnd(exit_code=None, reason=reason, is_of_moment=True)
        self._undelivered[attempt] = EndedAttempt(identity=attempt, end=end)
        while len(self._undelivered) > UNDELIVERED:
            self._undelivered.pop(next(iter(self._undelivered)))
        self._on_change()

    async def tell(
        self, operation: str, arguments: dict[str, str], seconds: float = ANSWER_SECONDS, tries: int = TRIES
    ) -> dict[str, Any]:
        """Raises Undelivered."""
        for last in (False,) * (tries - 1) + (True,):
            try:
                return await ask(self._pool, self.address, operation, seconds, arguments)
            except (OSError, TimeoutError, UnexpectedWords) as error:
                if last:
                    raise Undelivered(reason_of(error)) from error
            await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError("there is a last try")

    async def _converse(self) -> None:
        seconds = HOLD_SECONDS + ANSWER_SECONDS
        while True:
            try:
                self._take(await ask(self._pool, self.address, "tilewright_report", seconds, {"seen": self._revision}))
            except (OSError, TimeoutError) as error:
                self.is_refused = _is_refusal(error)
                seconds = SILENT_ANSWER_SECONDS
                await asyncio.sleep(RETRY_SECONDS)
            except (UnexpectedWords, ValidationError, KeyError, TypeError) as error:
                log.warning("worker_not_understood", address=self.address, error=reason_of(error))
                await asyncio.sleep(SILENT_ANSWER_SECONDS)
            else:
                self.is_refused, seconds = False, HOLD_SECONDS + ANSWER_SECONDS

    def _take(self, answer: dict[str, Any]) -> None:
        report = WorkerReport.model_validate_json(answer["report"])
        was_silent = self.silent_seconds > HOLD_SECONDS + ANSWER_SECONDS
        has_news = report != self.report or was_silent
        self._revision, self.report, self._heard_at = int(answer["revision"]), report, self._clock()
        if has_news:
            self._on_change()


class UnexpectedWords(Exception):
    """The other side failed, or is none of ours."""


async def ask(
    pool: ConnectionPool, address: str, operation: str, seconds: float, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """One call, with a limit. Raises OSError, TimeoutError or UnexpectedWords."""
    try:
        async with asyncio.timeout(seconds):
            answer = await getattr(pool(address), operation)(**arguments)
    except (OSError, TimeoutError):
        raise
    except Exception as error:  # whatever a stranger's bytes lead to
        raise UnexpectedWords(reason_of(error)) from error
    if not isinstance(answer, dict):
        raise UnexpectedWords("the answer is none of ours")
    return answer


def reason_of(error: BaseException) -> str:
    """To a person; Dask wraps what the system says several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(getattr(error, "strerror", None) or error)[:300] or "no answer"


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, ConnectionRefusedError) or (error.__cause__ is not None and _is_refusal(error.__cause__))
