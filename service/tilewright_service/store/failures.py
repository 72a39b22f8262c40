"""What a database has against a request, in our words."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError

from tilewright.errors import InvalidRequest, StorageFull, TilewrightError, Unavailable

FULL = ("disk is full", "No space left", "could not extend file")
READ_ONLY = ("readonly", "read-only")
BROKEN = ("disk I/O error", "Input/output error")
"""What SQLite says, too, once the system has made the whole disk read-only under it."""
PASSING = (OperationalError, InternalError, InterfaceError)
"""Lost connections, locks that were not had in time, deadlocks, a server that stands by: another try may do."""


def failure_of(error: Exception) -> TilewrightError | None:
    """None of what is our own mistake."""
    said = str(getattr(error, "orig", error)).strip()
    if isinstance(error, DataError):
        return InvalidRequest(f"the database cannot hold this: {_first_line(said)}")
    if isinstance(error, IntegrityError | StaleDataError):
        return Unavailable("the same was written at the same moment: send it again")
    if isinstance(error, PoolTimeout):
        return Unavailable("the database does not answer: no connection was free in time")
    if isinstance(error, PASSING) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return _passing(said)
    return None


def _passing(said: str) -> TilewrightError:
    if any(words in said for words in FULL):
        return StorageFull("the database cannot grow: free some space on the disk of the service")
    if any(words in said for words in READ_ONLY):
        return Unavailable("the database can only be read: make its directory writable")
    if any(words in said for words in BROKEN):
        return Unavailable("the disk of the database fails or can only be read: repair it, then restart the service")
    return Unavailable(f"the database does not answer: {_first_line(said)}")


def _first_line(said: str) -> str:
    """What follows names addresses and statements."""
    return said.partition("\n")[0]
