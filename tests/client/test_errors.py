import pytest
from pydantic import ValidationError

from tilewright import errors
from tilewright.contract import JobRequest
from tilewright.errors import InvalidRequest, TilewrightError, from_problem

from .examples import CONV

SERVED = [
    errors.InvalidRequest,
    errors.UnknownNetwork,
    errors.Unauthorized,
    errors.NotFound,
    errors.StaleAttempt,
    errors.ScheduleChanged,
    errors.IdempotencyConflict,
    errors.TooLarge,
    errors.Unavailable,
    errors.StorageFull,
]


@pytest.mark.parametrize("kind", SERVED)
def test_an_error_crosses_http_and_stays_what_it_was(kind: type[TilewrightError]) -> None:
    sent = kind("the reason", [{"field": "groups", "message": "too many"}])
    received = from_problem(sent.status, sent.problem())
    assert type(received) is kind
    assert (received.detail, received.errors, str(received)) == (sent.detail, sent.errors, "the reason")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.TooLarge),
        (500, TilewrightError),
        (418, TilewrightError),
    ],
)
def test_a_problem_of_somebody_else_is_judged_by_its_status(status: int, kind: type[TilewrightError]) -> None:
    assert type(from_problem(status, {"type": "about:blank", "title": "Oh"})) is kind
    assert from_problem(status, {}).detail == f"the service answered {status}"


def test_an_invalid_field_is_named_by_its_path() -> None:
    with pytest.raises(ValidationError) as caught:
        JobRequest.model_validate({"workloads": [CONV, {**CONV, "stride": [0, 1]}]})
    error = InvalidRequest.from_validation(caught.value)
    assert [item["field"] for item in error.errors] == ["workloads.1.stride.0"]
    assert error.detail.startswith("workloads.1.stride.0: ")


def test_error_codes_are_unique() -> None:
    codes = [kind.code for kind in SERVED]
    assert len(set(codes)) == len(codes)
