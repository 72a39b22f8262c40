"""Which schedule of a workload: a choice of a structured space, or a trace of the generic one.

A choice is data: names and whole numbers. The trace that TVM applies is derived from it by our own code, in workers and
in clients alike, so choices outlive changes of the definitions that they are made for. Traces are kept only for the
generic space, which has no choices; see docs/decisions/0020-a-schedule-is-a-choice.md.
"""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictInt, model_validator

from tilewright.contract.message import Message, Sha256

MOST = 2**31
"""No loop is longer, so no decision is larger."""

GENERIC: Literal["generic"] = "generic"
"""The name of MetaSchedule's own space."""

SpaceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")]
DecisionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Decision = Annotated[StrictInt, Field(ge=0, le=MOST)]

Trace = list[Any]
"""A MetaSchedule trace as `Trace.as_json()` gives it: [instructions, decisions]."""


class Choice(Message):
    """A schedule of a structured space: one whole number for each of its decisions."""

    space: SpaceName
    version: Annotated[StrictInt, Field(ge=1, le=1_000_000)]
    """Of the space when the choice was made; later versions may know more decisions, and have defaults for them."""
    decisions: Annotated[dict[DecisionName, Decision], Field(max_length=32)]

    @property
    def id(self) -> str:
        """SHA-256 of space, version and decisions in the order of their names, 64 hexadecimal digits."""
        return _digest([self.space, self.version, dict(sorted(self.decisions.items()))])


class GenericTrace(Message):
    """A schedule of the generic space, by its trace; an empty one is TVM's default."""

    trace: Trace

    @property
    def space(self) -> Literal["generic"]:
        return GENERIC

    @property
    def id(self) -> str:
        """SHA-256 of space and trace; TVM's structural hash differs between platforms."""
        return _digest([GENERIC, self.trace])


Candidate = Choice | GenericTrace
"""`space` and `id` tell which it is and which one."""


class CandidateFields(Message):
    """How a document names its candidate; `candidate` is the digest of the one of `choice` and `trace` that it has."""

    space: SpaceName
    candidate: Sha256
    choice: Choice | None = None
    trace: Trace | None = None
    """Of the generic space only: everywhere else the trace is derived from the choice."""

    @property
    def as_candidate(self) -> Candidate:
        """As the kernels take it."""
        if self.choice is not None:
            return self.choice
        return GenericTrace(trace=self.trace or [])

    @model_validator(mode="after")
    def _check_candidate(self) -> Self:
        if (self.choice is None) == (self.trace is None):
            raise ValueError("a schedule is a choice of a structured space, or a trace of the generic one")
        if (self.as_candidate.space, self.as_candidate.id) != (self.space, self.candidate):
            raise ValueError("space and candidate have to be those of the choice or the trace")
        return self


def candidate_fields(candidate: Candidate) -> dict[str, Any]:
    """The CandidateFields of a document, by name."""
    return {
        "space": candidate.space,
        "candidate": candidate.id,
        "choice": candidate if isinstance(candidate, Choice) else None,
        "trace": candidate.trace if isinstance(candidate, GenericTrace) else None,
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()
