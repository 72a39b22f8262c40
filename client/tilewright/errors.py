"""Everything that can go wrong, as the service, the workers and the client name it.

TilewrightError
├── InvalidRequest           422  a field is missing, unknown or out of range; `errors` names it
│   └── UnknownNetwork       422  no such network
├── Unauthorized             401  no token, or the wrong one
├── Misdirected              421  the request was meant for another host: a page elsewhere may have sent it
├── NotFound                 404  no such job, schedule, record
├── Conflict                 409
│   ├── StaleAttempt              a newer attempt has the authority now
│   ├── ScheduleChanged           another schedule was published since the comparison
│   ├── NotYours                  a job that others want, and the caller does not
│   └── IdempotencyConflict       the same Idempotency-Key came with another body
├── TooLarge                 413  the body is larger than the service takes
├── Unavailable              503  the service cannot answer now; try again
│   ├── TooManyRequests      429  the caller asks for more than his share
│   └── RequestTimeout       408  the request did not arrive in time
├── StorageFull              507  the disk of the service is full
├── ServiceFailed            500  an error in the service that nobody expected
├── CannotStart                   said by `tilewright serve`: what keeps it from starting, and what to do
└── ClientError                   found out by the client or a worker, never sent by the service
    ├── ServerUnreachable         nobody answers at this address
    ├── UnexpectedAnswer          somebody else answers at this address
    ├── MissingPart               a part is not installed; the message names the extra
    ├── NoSchedule                nothing is known for this workload yet, and `strict` was asked for
    ├── ForeignSchedule           a schedule that another version published, and this one cannot build
    ├── UnsupportedTarget         this host lacks the instructions of the target
    ├── UnwritableLog             the disk of a worker is full, or its tuning log is not its own
    ├── JobFailed
    ├── JobCancelled
    └── WaitTimeout               the job did not end in the time that `wait` was given

Three exceptions stand beside their code, because they never leave it: `CallFailed` (tuning: a child process gave no
answer; its reason becomes that of a failed trial), `Stopped` (tuning: the way out of a search that nobody wants any
more; becomes the report `Interrupted`) and `CannotRestrict` (comparison: a peer that is left out, with the reason).
Every other exception is a bug: it ends what an attempt is at, with its traceback, and the service has it tried again.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, TypedDict

from pydantic import ValidationError

from tilewright.complaints import Complaint, complaints, summary
from tilewright.expectations import expectation_of

PROBLEM_PREFIX = "urn:tilewright:problem:"
PROBLEM_MEDIA_TYPE = "application/problem+json"
MOST_STEP = 80
"""Characters of one step of a path: a key that somebody made up may have millions."""


class FieldError(TypedDict):
    """What is wrong with one field: `workloads.0.groups` is a path into the body, and "" the body itself."""

    field: str
    message: str


class TilewrightError(Exception):
    """Base of all errors of this project; `detail` is a sentence to a person."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)

    def problem(self) -> dict[str, Any]:
        """As an RFC 9457 problem document."""
        document: dict[str, Any] = {
            "type": PROBLEM_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = self.errors
        return document


class InvalidRequest(TilewrightError, ValueError):
    """A ValueError, too, as Python's own constructors raise it."""

    code, status, title = "invalid-request", 422, "The request is not valid"

    @classmethod
    def from_validation(cls, error: ValidationError, kind: Any) -> Self:
        """What is wrong with a document that had to be of this kind."""
        return cls.of(complaints(error.errors(include_url=False), expectation_of(kind)))

    @classmethod
    def of(cls, said: Sequence[Complaint]) -> Self:
        """Each complaint with the path of its field."""
        return cls(summary(said), [{"field": _dotted(each.path), "message": each.message} for each in said])


class UnknownNetwork(InvalidRequest):
    code, title = "unknown-network", "There is no such network"


class Unauthorized(TilewrightError):
    code, status, title = "unauthorized", 401, "A valid token is needed"


class Misdirected(TilewrightError):
    code, status, title = "misdirected", 421, "The request was meant for another host"


class NotFound(TilewrightError):
    code, status, title = "not-found", 404, "There is no such thing"


class Conflict(TilewrightError):
    code, status, title = "conflict", 409, "The state has changed meanwhile"


class StaleAttempt(Conflict):
    code, title = "stale-attempt", "A newer attempt has taken over"


class ScheduleChanged(Conflict):
    code, title = "schedule-changed", "Another schedule was published meanwhile"


class NotYours(Conflict):
    code, title = "not-yours", "Others want this job"


class IdempotencyConflict(Conflict):
    code, title = "idempotency-conflict", "The Idempotency-Key was used for another request"


class TooLarge(TilewrightError):
    code, status, title = "too-large", 413, "The request is too large"


class Unavailable(TilewrightError):
    code, status, title = "unavailable", 503, "The service cannot answer now"

    retry_after_seconds: float | None = None
    """How long to wait before the next try, where the service says so."""

    def after(self, seconds: float) -> Self:
        self.retry_after_seconds = seconds
        return self


class TooManyRequests(Unavailable):
    """It changed nothing, so that any request may be repeated after it."""

    code, status, title = "too-many-requests", 429, "That is more than a fair share"


class RequestTimeout(Unavailable):
    code, status, title = "request-timeout", 408, "The request did not arrive in time"


class StorageFull(TilewrightError):
    code, status, title = "storage-full", 507, "The disk of the service is full"


class ServiceFailed(TilewrightError):
    title = "The service failed"


class CannotStart(TilewrightError):
    code, title = "cannot-start", "The service does not start"


class ClientError(TilewrightError):
    code, title = "client", "The request could not be made"


class ServerUnreachable(ClientError):
    code, title = "server-unreachable", "The service does not answer"


class UnexpectedAnswer(ClientError):
    code, title = "unexpected-answer", "That is not a Tilewright service"


class MissingPart(ClientError):
    code, title = "missing-part", "A part is not installed"


class NoSchedule(ClientError):
    code, title = "no-schedule", "No schedule is known yet"


class ForeignSchedule(ClientError):
    code, title = "foreign-schedule", "The schedule is of another version"


class UnsupportedTarget(ClientError):
    code, title = "unsupported-target", "This host cannot run that"


class UnwritableLog(ClientError):
    code, title = "unwritable-log", "The tuning log cannot be written"


class JobFailed(ClientError):
    code, title = "job-failed", "The job failed"


class JobCancelled(ClientError):
    code, title = "job-cancelled", "The job was cancelled"


class WaitTimeout(ClientError):
    code, title = "wait-timeout", "The job goes on"


def _dotted(path: Sequence[object]) -> str:
    return ".".join(text if len(text) <= MOST_STEP else f"{text[: MOST_STEP - 3]}..." for text in map(str, path))


SERVED: tuple[type[TilewrightError], ...] = (
    InvalidRequest,
    UnknownNetwork,
    Unauthorized,
    Misdirected,
    NotFound,
    Conflict,
    StaleAttempt,
    ScheduleChanged,
    NotYours,
    IdempotencyConflict,
    TooLarge,
    Unavailable,
    TooManyRequests,
    RequestTimeout,
    StorageFull,
    ServiceFailed,
)
"""What the service sends; of several with one status the most general stands first."""

BY_CODE = {each.code: each for each in SERVED}
BY_STATUS = {each.status: each for each in reversed(SERVED)}


def from_problem(status: int, document: Mapping[str, Any]) -> TilewrightError:
    """The error that a problem document tells of, as the class that the service raised; judged by its status where the
    code is of a newer service, or of somebody else.
    """
    code = str(document.get("type", "")).removeprefix(PROBLEM_PREFIX)
    detail = str(document.get("detail") or document.get("title") or f"the service answered {status}")
    errors = document.get("errors")
    error = BY_CODE.get(code) or BY_STATUS.get(status, TilewrightError)
    return error(detail, errors if isinstance(errors, list) else ())
