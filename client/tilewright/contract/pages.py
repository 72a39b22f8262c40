"""Lists come in pages."""

from typing import Generic, TypeVar

from tilewright.contract.message import Message

Item = TypeVar("Item")


class Page(Message, Generic[Item]):
    """One page; `next` is the path of the following one, or None at the end."""

    items: list[Item]
    next: str | None = None
