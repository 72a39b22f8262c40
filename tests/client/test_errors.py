import re
from pathlib import Path

import pytest

from tilewright import errors
from tilewright.contract.jobs import JobRequest
from tilewright.errors import (
    BY_CODE,
    SERVED,
    ClientError,
    InvalidRequest,
    ServiceFailed,
    TilewrightError,
    from_problem,
)

from .examples import CONV

ROOT = Path(__file__).parents[2]


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
        (421, errors.Misdirected),
        (422, errors.InvalidRequest),
        (409, errors.Conflict),
        (413, errors.TooLarge),
        (500, ServiceFailed),
        (418, TilewrightError),
    ],
)
def test_a_problem_of_somebody_else_is_judged_by_its_status(status: int, kind: type[TilewrightError]) -> None:
    assert type(from_problem(status, {"type": "about:blank", "title": "Oh"})) is kind
    assert from_problem(status, {}).detail == f"the service answered {status}"


def test_an_invalid_field_is_named_by_its_path() -> None:
    with pytest.raises(InvalidRequest) as caught:
        JobRequest.model_validate({"workloads": [CONV, {**CONV, "stride": [0, 1]}]})
    error = caught.value
    assert [item["field"] for item in error.errors] == ["workloads.1.stride.0"]
    assert error.detail.startswith("workloads[1].stride[0] is 0; ")


TREE = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, TilewrightError)}


def test_every_error_that_a_service_may_send_is_in_the_table() -> None:
    never_sent = {each for each in TREE if issubclass(each, ClientError)} | {TilewrightError, errors.CannotStart}
    assert set(SERVED) == TREE - never_sent
    assert len(BY_CODE) == len(SERVED)


def test_no_error_of_the_tree_is_defined_elsewhere() -> None:
    roots = ("client", "kernels", "tuning", "worker", "comparison", "service")
    files = [path for root in roots for path in (ROOT / root).rglob("*.py")]
    bases = "|".join(each.__name__ for each in TREE)
    strangers = [path for path in files if re.search(rf"^class \w+\((\w+, )*({bases})\b", path.read_text(), re.M)]
    assert strangers == [ROOT / "client" / "tilewright" / "errors.py"]


def test_every_code_names_one_error() -> None:
    codes = [each.code for each in TREE - {TilewrightError}]  # which stands for what has no code
    assert len(set(codes)) == len(codes)
