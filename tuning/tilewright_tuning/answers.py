"""How a child process answers: frames of plain data, which its parent reads without trusting it."""

import json
import os
import pickle
import select
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

HEADER = struct.Struct("!Q")
MOST_BYTES = 64 * 2**20
"""Far above any answer."""

SLICE_SECONDS = 0.2
"""After so long at most it is seen that nobody waits any more."""

T = TypeVar("T")


class BadAnswer(Exception):
    """It is not what the command gives: whoever sent it is not to be believed any more."""


@dataclass(frozen=True)
class Returned(Generic[T]):
    value: T


@dataclass(frozen=True)
class Raised:
    reason: str


class Format(Protocol):
    """What answers are written in; `kind` is the type that the command promises."""

    def write(self, reply: Returned[Any] | Raised, kind: Any, /) -> bytes: ...

    def read(self, content: bytes, kind: Any, /) -> Returned[Any] | Raised:
        """Raises BadAnswer."""


class PlainData:
    """JSON, read strictly as the type that the command promises: nothing in it is ever called."""

    def write(self, reply: Returned[Any] | Raised, kind: Any, /) -> bytes:
        if isinstance(reply, Raised):
            return json.dumps({"raised": reply.reason}).encode()
        return b'{"value": %b}' % TypeAdapter(kind).dump_json(reply.value)

    def read(self, content: bytes, kind: Any, /) -> Returned[Any] | Raised:
        try:
            match json.loads(content):
                case {"raised": str(reason), **others} if not others:
                    return Raised(reason)
                case {"value": value, **others} if not others:
                    return Returned(TypeAdapter(kind).validate_json(json.dumps(value)))
        except (ValueError, RecursionError, ValidationError) as error:
            raise BadAnswer(f"it cannot be read: {type(error).__name__}") from error
        raise BadAnswer("it is neither a value nor an error")


class Pickled:
    """For children that run nothing but what their user has installed: arrays pass, and so would code."""

    def write(self, reply: Returned[Any] | Raised, _: Any, /) -> bytes:
        return pickle.dumps(reply)

    def read(self, content: bytes, _: Any, /) -> Returned[Any] | Raised:
        reply: Returned[Any] | Raised = pickle.loads(content)
        return reply


def send_frame(descriptor: int, content: bytes) -> None:
    rest = memoryview(HEADER.pack(len(content)) + content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive_frame(descriptor: int, deadline: float, check: Callable[[], None]) -> bytes:
    """Raises TimeoutError at the deadline, of `time.monotonic()`, EOFError at the end, BadAnswer for a frame too long.

    `check` is called while there is nothing, and may raise.
    """
    (size,) = HEADER.unpack(_receive(descriptor, HEADER.size, deadline, check))
    if size > MOST_BYTES:
        raise BadAnswer(f"it has {size} bytes")
    return _receive(descriptor, size, deadline, check)


def _receive(descriptor: int, size: int, deadline: float, check: Callable[[], None]) -> bytes:
    received, poll = bytearray(), select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(received) < size:
        check()
        left = max(0.0, deadline - time.monotonic())
        if poll.poll(min(left, SLICE_SECONDS) * 1000):
            chunk = os.read(descriptor, min(size - len(received), 2**16))
            if not chunk:
                raise EOFError
            received += chunk
        elif left == 0:
            raise TimeoutError
    return bytes(received)
