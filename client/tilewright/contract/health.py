"""How a service is."""

from datetime import datetime
from typing import Literal

from tilewright.contract.message import Message


class Health(Message):
    status: Literal["ok"]


class AilingPart(Message):
    """Why a service is not ready; `parts` of the problem document that `/readyz` answers with 503."""

    part: str
    """Such as database, disk, engine, reconciler."""
    reason: str
    """To a person."""
    since: datetime


class Version(Message):
    version: str


class Readiness(Message):
    """What `/readyz` answers, well or not."""

    parts: list[AilingPart] = []
    """What the service cannot do without, and lacks."""
    detail: str | None = None
    """Of a problem, to a person."""
