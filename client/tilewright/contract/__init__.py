"""What client, service and workers say to each other; only pydantic and the standard library.

Users find all messages here. The packages of this project import each from the module that it stands in.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewright.contract.attempts import (
        AttemptBrief,
        BriefedWorkload,
        Finished,
        History,
        Interrupted,
        KnownRecord,
        LaunchOrder,
        Neighbour,
        NeighbourRecord,
        Publication,
        RecordBatch,
        Renewal,
        RenewalAnswer,
        Report,
        Start,
        Stored,
        WorkloadOutcome,
    )
    from tilewright.contract.attempts import Failed as AttemptFailed
    from tilewright.contract.candidates import Candidate, Choice, GenericTrace, Trace
    from tilewright.contract.events import Event, UnknownEvent
    from tilewright.contract.hosts import Host
    from tilewright.contract.jobs import Job, JobRequest, JobState, JobSummary, JobWorkload, Progress
    from tilewright.contract.pages import Page
    from tilewright.contract.records import (
        FailedRecord,
        FailureKind,
        MeasuredRecord,
        NewRecord,
        Provenance,
        Record,
        RecordState,
    )
    from tilewright.contract.schedules import (
        InstructionCount,
        Lookup,
        LookupResult,
        Schedule,
        ScheduleDetail,
        Verification,
    )
    from tilewright.contract.target import ISAS, Isa, Target, TargetName
    from tilewright.contract.workers import Worker, WorkerState
    from tilewright.contract.workload import Workload

__all__ = [
    "ISAS",
    "AttemptBrief",
    "AttemptFailed",
    "BriefedWorkload",
    "Candidate",
    "Choice",
    "Event",
    "FailedRecord",
    "FailureKind",
    "Finished",
    "GenericTrace",
    "History",
    "Host",
    "InstructionCount",
    "Interrupted",
    "Isa",
    "Job",
    "JobRequest",
    "JobState",
    "JobSummary",
    "JobWorkload",
    "KnownRecord",
    "LaunchOrder",
    "Lookup",
    "LookupResult",
    "MeasuredRecord",
    "Neighbour",
    "NeighbourRecord",
    "NewRecord",
    "Page",
    "Progress",
    "Provenance",
    "Publication",
    "Record",
    "RecordBatch",
    "RecordState",
    "Renewal",
    "RenewalAnswer",
    "Report",
    "Schedule",
    "ScheduleDetail",
    "Start",
    "Stored",
    "Target",
    "TargetName",
    "Trace",
    "UnknownEvent",
    "Verification",
    "Worker",
    "WorkerState",
    "Workload",
    "WorkloadOutcome",
]

_MODULES = (
    *("workload", "target", "hosts", "workers", "candidates", "schedules", "records", "pages", "jobs", "events"),
    "attempts",
)
"""The small ones first."""

_RENAMED = {"AttemptFailed": "Failed"}


def __getattr__(name: str) -> Any:
    """Modules are imported until one has it: most programs need few."""
    if name in __all__:
        for each in _MODULES:
            module = import_module(f"{__name__}.{each}")
            if hasattr(module, _RENAMED.get(name, name)):
                return getattr(module, _RENAMED.get(name, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
