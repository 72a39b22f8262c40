"""Requests from plain arguments; what is wrong with those is an `InvalidRequest`."""

from typing import Any, TypeVar

from pydantic import ValidationError

from tilewright.contract.jobs import JobRequest
from tilewright.contract.message import Message
from tilewright.contract.schedules import Lookup
from tilewright.errors import InvalidRequest

Request = TypeVar("Request", bound=Message)


def job_request(**fields: Any) -> JobRequest:
    return _request(JobRequest, fields)


def lookup(**fields: Any) -> Lookup:
    return _request(Lookup, fields)


def _request(kind: type[Request], fields: dict[str, Any]) -> Request:
    try:
        return kind(**fields)
    except ValidationError as error:
        raise InvalidRequest.from_validation(error) from error
