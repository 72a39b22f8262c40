"""What an attempt leaves on disk: every record before it is sent, and how much of it the service has."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from tilewright.contract.records import NewRecord, parse_record
from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest
from tilewright_worker.lines import FileLock, Line, Lines, file_lock, replace_file

ACKNOWLEDGED = ".acknowledged"
"""How many bytes of the records the service has, whoever made them."""

MOST_ERRORS = 2**20
"""Bytes of `errors.log`."""

LONGEST_ERROR = 10_000

RECORDS = "records.jsonl"

DELIVERY_LOCK = ".delivery.lock"
"""Held by whoever finds out what the service has."""


class Journal:
    """`records.jsonl` and `workloads.jsonl` of one job on this host: all of its attempts here write into them.

    A record is synced before the service is told, and its workload before that; so a killed attempt loses nothing, nor
    does a power cut. What is torn, empty or of another version is passed over. Every call may raise OSError.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = Lines(folder / RECORDS)
        self._workloads = Lines(folder / "workloads.jsonl")
        self._known: dict[str, Workload] = {}
        self._read_workloads_to = 0
        self._crashed = folder / "crashed.txt"

    def begin(self, workload: Workload) -> None:
        """Records of this workload follow."""
        if self.workload(workload.id) is None:
            self._workloads.append(workload.canonical_json)

    def append(self, record: NewRecord) -> None:
        self.records.append(record.model_dump_json())

    def workload(self, workload_id: str) -> Workload | None:
        """None for one that was never begun here, or whose line is lost."""
        if workload_id not in self._known:
            for line in self._workloads.read(self._read_workloads_to):
                self._read_workloads_to = line.end
                with suppress(InvalidRequest, ValidationError, ValueError):
                    workload = Workload.model_validate_json(line.content)
                    self._known[workload.id] = workload
        return self._known.get(workload_id)

    def crashed(self, workload_id: str) -> set[str]:
        """Ids of candidates of this workload that ended a process of some attempt of this job."""
        if not self._crashed.exists():
            return set()
        lines = (line.split() for line in self._crashed.read_text(errors="replace").splitlines())
        return {line[1] for line in lines if len(line) == 2 and line[0] == workload_id}

    def note_crashed(self, workload_id: str, candidate_id: str) -> None:
        """Other workloads have candidates of the same id, for which it says nothing."""
        crashed = Lines(self._crashed)
        crashed.append(f"{workload_id} {candidate_id}")
        crashed.close()

    def note_error(self, traceback: str) -> None:
        """What nobody expected, for whoever mends it; as much of it as a person reads."""
        errors = self.folder / "errors.log"
        if not errors.exists() or errors.stat().st_size < MOST_ERRORS:
            with errors.open("a") as file:
                file.write(f"{traceback[-LONGEST_ERROR:]}\n")

    def unacknowledged(self) -> Iterator[tuple[Line, NewRecord | None]]:
        """Lines that the service may not have; None for what is no record of ours."""
        for line in self.records.read(self._acknowledged()):
            yield line, read_record(line.content)

    def acknowledge(self, end: int) -> None:
        """The service has everything up to there, of whatever attempt."""
        replace_file(self.folder / ACKNOWLEDGED, f"{end}\n")

    def close(self) -> None:
        self.records.close()
        self._workloads.close()

    def _acknowledged(self) -> int:
        """Nothing where the file is gone or broken: records that are sent twice are stored once."""
        try:
            end = int((self.folder / ACKNOWLEDGED).read_bytes())
        except (OSError, ValueError):
            return 0
        return end if 0 <= end <= self.records.size else 0


class Writer:
    """Says for as long as it is open that an attempt is at it: what it has written, it delivers itself."""

    def __init__(self, journal: Journal, attempt: int) -> None:
        self._journal, self._attempt = journal, attempt
        self._path = _writer_path(journal.folder, attempt)
        self._lock = FileLock(self._path)
        self._lock.take(waits=False)

    def close(self, has_delivered_all: bool) -> None:
        if has_delivered_all:
            with file_lock(self._journal.folder / DELIVERY_LOCK, waits=False) as is_alone:
                if is_alone:
                    acknowledge_where(self._journal, lambda record: record.provenance.attempt == self._attempt)
        self._path.unlink(missing_ok=True)
        self._lock.close()


def acknowledge_where(journal: Journal, is_delivered: Callable[[NewRecord], bool], most: int | None = None) -> None:
    """As far as everything has been, and not beyond `most`: others may have written more by now."""
    end = None
    for line, record in journal.unacknowledged():
        is_open = record is not None and not is_delivered(record)
        if is_open or (most is not None and line.end > most):
            break
        end = line.end
    if end is not None:
        journal.acknowledge(end)


def is_being_written(folder: Path, attempt: int) -> bool:
    """Whether a process of this attempt is alive on this host."""
    path = _writer_path(folder, attempt)
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        if not lock.take(waits=False):
            return True
        path.unlink(missing_ok=True)
        return False
    finally:
        lock.close()


def may_have_unacknowledged(folder: str) -> bool:
    """What `Journal.unacknowledged` would find out, in microseconds and without making a file."""
    try:
        size = os.stat(f"{folder}/{RECORDS}").st_size
    except OSError:
        return False
    return size > 0 and _number_in(f"{folder}/{ACKNOWLEDGED}") != size


def _number_in(path: str) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return int(os.read(descriptor, 32))
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def read_record(line: bytes) -> NewRecord | None:
    try:
        return parse_record(line)
    except (ValidationError, ValueError):
        return None


def _writer_path(folder: Path, attempt: int) -> Path:
    return folder / f".attempt-{attempt}"
