"""Which part of a job was known before it, in words."""

from tilewright.contract.jobs import Job
from tilewright.job_names import job_names


def known_part(job: Job) -> str | None:
    """None when none of its workloads was."""
    sources = [each.known_from_job for each in job.workloads if each.known_from_job is not None]
    if not sources:
        return None
    part = f"{len(sources)} of {len(job.workloads)} workloads" if len(job.workloads) > 1 else "its workload"
    return f"{part} {'is' if len(sources) == 1 else 'are'} known already, from {job_names(sorted(set(sources)))}"
