"""How a service is."""

from typing import Literal

from tilewright.contract.message import Message


class Health(Message):
    status: Literal["ok"]


class Version(Message):
    version: str
