"""The workloads of a job that were given up, in words."""

from collections.abc import Sequence

from tilewright.contract.jobs import Job, JobWorkload, WorkloadState

NAMED = 3
"""So many are named with their reasons; more are counted."""


def failed_workloads(job: Job) -> list[JobWorkload]:
    return [each for each in job.workloads if each.state is WorkloadState.FAILED]


def failed_part(job: Job) -> str | None:
    """Which, why, and what became of the others. None when none was given up."""
    failed = failed_workloads(job)
    if not failed:
        return None
    which = "its workload" if len(job.workloads) == 1 else f"{len(failed)} of its {len(job.workloads)} workloads"
    return "; ".join([f"{which} could not be tuned: {_named(failed)}", *_others(job)])


def reason_of(workload: JobWorkload) -> str:
    return first_line(workload.reason or "no reason was given")


def first_line(reason: str) -> str:
    """What there is room for of a reason that may hold a traceback, with a mark where there is more."""
    line, _, rest = reason.partition("\n")
    return f"{line} …" if rest else line


def _named(failed: Sequence[JobWorkload]) -> str:
    named = [f"{each.name} ({reason_of(each)})" for each in failed[:NAMED]]
    more = len(failed) - NAMED
    return ", ".join([*named, f"and {more} more"] if more > 0 else named)


def _others(job: Job) -> list[str]:
    others = [each for each in job.workloads if each.state is not WorkloadState.FAILED]
    served = sum(each.schedule_id is not None for each in others)
    if not served:
        return []
    if served == len(others):
        return ["the other one has its schedule" if served == 1 else f"the other {served} have their schedules"]
    return [f"{served} of the others {'has its schedule' if served == 1 else 'have their schedules'}"]
