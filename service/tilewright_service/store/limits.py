"""How many jobs may wait."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, select
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState
from tilewright.errors import TooManyRequests
from tilewright_service.store.tables import JobRow

RETRY_SECONDS = 30.0


class QueueLimits(NamedTuple):
    most: int
    most_of_one: int
    """Of one caller; whoever gives no name is one, too."""

    def check(self, session: Session, submitter: str) -> None:
        """Raises TooManyRequests when one more would be too many. To be asked before a job is made, in its transaction.

        No more is counted than there may be, and only in indices. Two that are made at once on a server may both be
        the last one.
        """
        most = {"most": self.most, "most_of_one": self.most_of_one, "submitter": submitter}
        queued, mine = session.connection().execute(QUEUED, most).one()
        if queued >= self.most:
            raise TooManyRequests(f"{self.most} jobs wait already; come back when some are done").after(RETRY_SECONDS)
        if mine >= self.most_of_one:
            who = f"{submitter} has" if submitter else "callers without a name have"
            raise TooManyRequests(f"{who} {self.most_of_one} jobs that wait; come back when some are done").after(
                RETRY_SECONDS
            )


NO_LIMITS = QueueLimits(2**31, 2**31)


def _counted(condition: ColumnElement[bool], most: str) -> ScalarSelect[int]:
    some = select(JobRow.id).where(condition).limit(bindparam(most)).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


# The second is spelled as the index by lanes is, which has all that want a worker, and who submitted them.
QUEUED = select(
    _counted(JobRow.state == JobState.QUEUED, "most"),
    _counted(JobRow.wants_worker & (JobRow.submitter == bindparam("submitter")), "most_of_one"),
)
