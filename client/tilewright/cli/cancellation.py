"""What became of a cancel, in words."""

from tilewright.contract.jobs import Job, JobState
from tilewright.errors import Conflict


def outcome(job: Job) -> str:
    """Of a job as the service answered."""
    if job.state is JobState.CANCELLED:
        return f"job {job.id} is cancelled"
    if job.state.is_final:
        return f"job {job.id} has ended already: it {'finished' if job.state is JobState.FINISHED else 'failed'}"
    if job.cancel_requested:
        return f"job {job.id} is being cancelled"
    others = " and ".join(job.owners) or "others, who gave no name"
    return f"job {job.id} goes on for {others}: you have withdrawn from it; {for_all(job.id)}"


def refusal(job_id: int, error: Conflict) -> Conflict:
    """With the way to cancel it all the same."""
    return type(error)(f"{error.detail}; {for_all(job_id)}")


def for_all(job_id: int) -> str:
    return f"`tilewright cancel {job_id} --everybody` stops it for everybody"
