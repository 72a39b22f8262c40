"""Where it lies that something failed in an attempt: at its workload, at its host, or at the moment."""

from errno import EAGAIN, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS

from pydantic import ValidationError

from tilewright.attempt_client import AWAY
from tilewright.contract.attempts import Publication, RecordBatch, WorkloadOutcome
from tilewright.errors import (
    InvalidRequest,
    NotFound,
    ServiceFailed,
    StaleAttempt,
    TilewrightError,
    Unauthorized,
    UnexpectedAnswer,
    UnsupportedTarget,
    UnwritableLog,
)
from tilewright_kernels.runtime.build import last_line
from tilewright_tuning.child_process import CallFailed

MOST_REASON = 2000

OF_HOST = frozenset({EAGAIN, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS})
"""No disk, no memory, no descriptors, no processes: whatever workload comes next meets the same."""

PASSING = (*AWAY, UnexpectedAnswer, ServiceFailed, StaleAttempt, Unauthorized, NotFound)
"""The service is away, or knows nothing of the attempt any more."""

SENT = {kind.__name__: kind for kind in (Publication, RecordBatch, WorkloadOutcome)}


def ailment_of(error: BaseException) -> str | None:
    """What ails the host, to a person; None where it is something else."""
    match error:
        case UnwritableLog() | UnsupportedTarget():
            return error.detail
        case MemoryError():
            return "the host of this worker has no memory left"
        case OSError() if error.errno in OF_HOST:
            return f"the host of this worker is out of what an attempt needs: {error}"
    return None


def reason_of(error: Exception) -> str:
    """Why a workload could not be tuned, to a person."""
    match error:
        case ValidationError():
            text = _invalid(error)
        case CallFailed():
            text = f"no evaluator could be made ready for it: {error}"
        case TilewrightError():
            text = f"the attempt could not go on with it: {error.detail}"
        case _:
            text = f"an error that nobody expected ended its tuning: {type(error).__name__}: {last_line(error)}"
    return text[:MOST_REASON]


def _invalid(error: ValidationError) -> str:
    kind = SENT.get(error.title)
    detail = "" if kind is None else f": {InvalidRequest.from_validation(error, kind).detail}"
    return f"what came of it cannot be told to the service, as a {error.title} that is not valid{detail}"
