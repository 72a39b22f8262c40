"""How a service is."""

from typing import Literal

from tilewright.contract.message import Message


class Health(Message):
    status: Literal["ok"]


class Part(Message):
    """Something that a service cannot do without."""

    name: str
    ok: bool
    detail: str = ""
    """How it is, to a person."""


class Readiness(Message):
    """200 with it where all parts are well; 503 as a problem document that holds it, too."""

    parts: list[Part] = []


class Version(Message):
    version: str
