"""A MetaSchedule database of a job's records, which stock TVM loads."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.arg_info import ArgInfo

from tilewright.contract.records import FailedRecord, NewRecord
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.runtime.build import chosen, definition, json_values, last_line, trace_of
from tilewright_worker.journal import Journal, read_record
from tilewright_worker.lines import file_lock, replace_file, write_all

REACHED = ".database_reached.json"


@dataclass(frozen=True)
class Reach:
    """How far the database is: all in bytes. What lies beyond is of somebody who was killed while he wrote."""

    journal: int = 0
    workloads: int = 0
    records: int = 0


class TuningLog:
    """The two files of `ms.database.JSONDatabase`: workloads, and records that name them by line number.

    They are made from the journal, by one attempt at a time; every record is in them once, whoever was killed when.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal, folder = journal, journal.folder
        self._workloads = folder / "database_workload.json"
        self._records = folder / "database_tuning_record.json"
        self._reached, self._lock = folder / REACHED, folder / ".database.lock"
        self._numbers: dict[bytes, int] = {}
        """Of the lines of the workloads' file, as far as it was read."""
        self._numbered_to = 0
        self._entries: dict[tuple[str, str], tuple[bytes, Any]] = {}

    def catch_up(self, waits: bool = False) -> None:
        """Bring the database up to the journal, unless another attempt is just at that. Raises OSError."""
        with file_lock(self._lock, waits) as is_alone:
            if not is_alone:
                return
            try:
                self._catch_up(self._read_reach())
            except OSError:
                self._numbers, self._numbered_to = {}, 0  # what was numbered may not be in the file
                raise

    def _catch_up(self, reach: Reach) -> None:
        self._number_workloads(reach.workloads)
        end, entries, known = reach.journal, bytearray(), len(self._numbers)
        for line in self._journal.records.read(reach.journal):
            end = line.end
            record = read_record(line.content)
            entry = None if record is None else self._entry(record)
            if entry is not None:
                entries += json.dumps(entry).encode() + b"\n"
        if end == reach.journal:
            return
        workloads = b"".join(list(self._numbers)[known:])
        self._numbered_to = reach.workloads + len(workloads)
        append_from(self._workloads, reach.workloads, workloads)
        append_from(self._records, reach.records, bytes(entries))
        reached = Reach(end, self._numbered_to, reach.records + len(entries))
        replace_file(self._reached, json.dumps(asdict(reached)))

    def _read_reach(self) -> Reach:
        """From the start where a file is shorter than it has to be: a power cut took more than a moment."""
        try:
            reach = Reach(**json.loads(self._reached.read_bytes()))
            sizes = self._journal.records.size, self._workloads.stat().st_size, self._records.stat().st_size
            is_whole = all(0 <= least <= size for least, size in zip(asdict(reach).values(), sizes, strict=True))
        except (FileNotFoundError, ValueError, TypeError):
            return Reach()
        return reach if is_whole else Reach()

    def _number_workloads(self, size: int) -> None:
        if size < self._numbered_to or size == 0:
            self._numbers, self._numbered_to = {}, 0
        if size > self._numbered_to:
            with self._workloads.open("rb") as file:
                file.seek(self._numbered_to)
                for line in file.read(size - self._numbered_to).splitlines(keepends=True):
                    self._numbers.setdefault(line, len(self._numbers))
            self._numbered_to = size

    def _entry(self, record: NewRecord) -> list[Any] | None:
        """Failures go in as MetaSchedule writes them, with a latency that no candidate has, if they have a trace."""
        workload = self._journal.workload(record.workload_id)
        if workload is None:
            return None
        trace = record.trace
        try:
            number, arguments = self._number(workload, record.space)
            if record.choice is not None:
                trace = trace_of(chosen(workload, record.target, record.choice))
        except Exception as error:  # what TVM raises for a choice that it refuses, or that is of another version
            if not isinstance(record, FailedRecord):
                print(f"candidate {record.candidate} is not in the database: {last_line(error)}", file=sys.stderr)
            return None
        seconds = [latency / 1e6 for latency in record.latencies_us] or [1e10]
        target = json.loads(str(llvm_target(record.target.isa, record.target.threads)))
        return [number, [trace, seconds, target, arguments]]

    def _number(self, workload: Workload, space: str) -> tuple[int, Any]:
        """Of its line, which is a new one where there is none, and the arguments of the function in it."""
        key = workload.id, space
        if key not in self._entries:
            function = definition(space, workload)
            module = ms.tune_context._normalize_mod(function)
            line = json.dumps(json_values(ms.database.Workload(module).as_json())).encode() + b"\n"
            self._entries[key] = line, [json_values(info.as_json()) for info in ArgInfo.from_prim_func(function)]
        line, arguments = self._entries[key]
        return self._numbers.setdefault(line, len(self._numbers)), arguments


def append_from(path: Path, size: int, content: bytes) -> None:
    """After the first `size` bytes, whatever else is there; on disk when the call returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.fstat(descriptor).st_size > size:
            os.ftruncate(descriptor, size)
        os.lseek(descriptor, size, os.SEEK_SET)
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
