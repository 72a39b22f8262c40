"""Where attempts run."""

from typing import Annotated

from pydantic import Field, StrictInt

from tilewright.contract.message import Message, RowId


class AttemptKey(Message):
    """Names one attempt of one job."""

    job_id: RowId
    attempt: Annotated[StrictInt, Field(ge=1)]


class Worker(Message):
    """A process that runs one attempt at a time, on the cores that its job asks for."""

    name: str
    hostname: str
    cores: int
    running: AttemptKey | None = None


class AttemptEnd(Message):
    """How the child process of an attempt ended, as its worker saw it."""

    exit_code: int | None
    """None when it never started; negative for a signal."""
    reason: str | None = None
    """The end of its standard error, or why it never started."""
    is_busy: bool = False
    """Its cores were being measured on by somebody else; that is nobody's fault."""
