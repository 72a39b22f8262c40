"""Who calls: an attempt, or a person; by the name that he gives, or else by the address that he calls from."""

import re
from enum import StrEnum
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Scope

ATTEMPT_PATH = re.compile(r"/v1/jobs/(\d{1,19})/attempts/(\d{1,10})/")
USER_HEADER = "tilewright-user"
MOST_NAME = 128


class CallerKind(StrEnum):
    PERSON = "person"
    ATTEMPT = "attempt"
    SERVICE = "service"
    """The service itself, such as its look whether the database is well."""


class Caller(NamedTuple):
    kind: CallerKind
    name: str


SERVICE = Caller(CallerKind.SERVICE, "")


def caller_of(scope: Scope) -> Caller:
    """Everybody behind a name is one caller. Names are not proven: whoever has the token may take any."""
    attempt = ATTEMPT_PATH.match(scope["path"])
    if attempt is not None:
        return Caller(CallerKind.ATTEMPT, f"job {attempt[1]}, attempt {attempt[2]}")
    return Caller(CallerKind.PERSON, user_of(scope) or address_of(scope))


def user_of(scope: Scope) -> str:
    """The name that a person gives; empty for nobody."""
    return Headers(scope=scope).get(USER_HEADER, "").strip()[:MOST_NAME]


def address_of(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def is_attempt(scope: Scope) -> bool:
    return ATTEMPT_PATH.match(scope["path"]) is not None
