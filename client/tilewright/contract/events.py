"""What happens to a job, told in order to whoever follows it.

On the stream of server-sent events, `id:` is the id of an event, `event:` its type, and `data:` the whole object. The
stream ends after an event that is final.

queued             the job was made                                        QueuedData
started            an attempt has begun on a host                          StartedData
workload_started   the attempt tunes this workload now                     WorkloadProgress
progress           records of a workload were stored                       WorkloadProgress
schedule           a schedule was published                                WorkloadProgress
workload_done      the search of a workload has ended                      WorkloadProgress
workload_failed    a workload was given up; the others go on               WorkloadProgress
requeued           an attempt ended early; another will go on              RequeuedData
finished, failed, cancelled                                                EndData

Kinds may be added. A reader that does not know one gets an UnknownEvent, and reads on.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import Field, StrictInt, ValidationError
from typing_extensions import TypeAliasType

from tilewright.contract.jobs import JobState, WorkloadProgress
from tilewright.contract.message import Message, RowId

Data = TypeVar("Data")
Count = Annotated[StrictInt, Field(ge=1)]


class QueuedData(Message):
    workloads: Count
    """How many distinct ones the job has."""


class StartedData(Message):
    attempt: Count
    hostname: str
    host_class: str


class RequeuedData(Message):
    attempt: Count
    """The one that ended."""
    reason: str


class EndData(Message):
    reason: str | None
    """To a person; None when the job finished."""


class EventFields(Message, Generic[Data]):
    """What all events have."""

    id: RowId
    job_id: RowId
    type: str
    data: Data
    created_at: datetime

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it."""
        return self.type in FINAL_EVENTS


class QueuedEvent(EventFields[QueuedData]):
    type: Literal["queued"]


class StartedEvent(EventFields[StartedData]):
    type: Literal["started"]


class WorkloadStartedEvent(EventFields[WorkloadProgress]):
    type: Literal["workload_started"]


class ProgressEvent(EventFields[WorkloadProgress]):
    type: Literal["progress"]


class ScheduleEvent(EventFields[WorkloadProgress]):
    type: Literal["schedule"]


class WorkloadDoneEvent(EventFields[WorkloadProgress]):
    type: Literal["workload_done"]


class WorkloadFailedEvent(EventFields[WorkloadProgress]):
    type: Literal["workload_failed"]


class RequeuedEvent(EventFields[RequeuedData]):
    type: Literal["requeued"]


class FinishedEvent(EventFields[EndData]):
    type: Literal["finished"]


class FailedEvent(EventFields[EndData]):
    type: Literal["failed"]


class CancelledEvent(EventFields[EndData]):
    type: Literal["cancelled"]


class UnknownEvent(EventFields[dict[str, Any]]):
    """Of a kind that a newer service tells, or with data that only a newer client can read."""


Event = TypeAliasType(
    "Event",
    Annotated[
        QueuedEvent
        | StartedEvent
        | WorkloadStartedEvent
        | ProgressEvent
        | ScheduleEvent
        | WorkloadDoneEvent
        | WorkloadFailedEvent
        | RequeuedEvent
        | FinishedEvent
        | FailedEvent
        | CancelledEvent,
        Field(discriminator="type"),
    ],
)

FINAL_EVENTS: dict[str, type[FinishedEvent | FailedEvent | CancelledEvent]] = {
    JobState.FINISHED: FinishedEvent,
    JobState.FAILED: FailedEvent,
    JobState.CANCELLED: CancelledEvent,
}
"""By the state that the job is in from then on."""

AnyEvent = Event | UnknownEvent
"""What a reader may meet."""


def kind_of(event: type[EventFields[Any]]) -> str:
    """The `type` of events of a class."""
    (kind,) = get_args(event.model_fields["type"].annotation)
    return str(kind)


EVENTS: dict[str, type[AnyEvent]] = {kind_of(event): event for event in get_args(get_args(Event.__value__)[0])}
"""Every kind that there is."""


def event_class(kind: str) -> type[AnyEvent]:
    return EVENTS.get(kind, UnknownEvent)


def parse_event(content: str | bytes) -> AnyEvent:
    """As a reader sees it, whom what a newer service says never stops: keys that this version does not know are passed
    over, and an event of a kind that it does not know, or with data that it cannot read, is an UnknownEvent.
    """
    event = UnknownEvent.model_validate_json(content, extra="ignore")
    try:
        return event_class(event.type).model_validate_json(content, extra="ignore")
    except ValidationError:
        return event
