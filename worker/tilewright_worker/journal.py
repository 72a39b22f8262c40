"""What an attempt leaves on disk: every record before it is sent, and a MetaSchedule database of them."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.arg_info import ArgInfo

from tilewright.contract.records import FailedRecord, NewRecord, parse_record
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.runtime.build import chosen, definition, json_values, trace_of


class Journal:
    """`records.jsonl` of one job: written before the service is told, so that a killed attempt loses nothing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "records.jsonl"
        drop_torn_line(self._path)
        self._file = self._path.open("a")

    @classmethod
    def of_attempt(cls, folder: Path, attempt: int) -> "Journal":
        """A first attempt begins with an empty folder: what is there belongs to a job of another database."""
        if attempt == 1 and folder.exists():
            folder.rename(folder.with_name(f"{folder.name}.before-{time.time_ns()}"))
        return cls(folder)

    def append(self, record: NewRecord) -> None:
        self._file.write(record.model_dump_json() + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def records(self) -> Iterator[NewRecord]:
        """All records of the job that this host made; lines of another version of the contract are passed over."""
        for line in self._path.read_text().splitlines():
            try:
                yield parse_record(line)
            except ValidationError:
                continue

    def close(self) -> None:
        self._file.close()


class TuningLog:
    """The two files of `ms.database.JSONDatabase`: workloads, and records that name them by line number."""

    def __init__(self, folder: Path) -> None:
        self._workloads = folder / "database_workload.json"
        self._records = folder / "database_tuning_record.json"
        self._definitions = folder / "workloads.jsonl"
        drop_torn_line(self._definitions)
        self._known = {workload.id: workload for workload in self._read_definitions()}
        self._lines: dict[tuple[str, str], int] = {}
        self._arguments: dict[tuple[str, str], Any] = {}

    def rewrite(self, records: Iterable[NewRecord]) -> None:
        """Begin anew from the journal: whatever a killed attempt left half written is gone."""
        for file in (self._workloads, self._records):
            file.write_text("")
        for record in records:
            self.append(record)

    def begin(self, workload: Workload) -> None:
        """Records of this workload follow. It is written down before the first of them is in the journal."""
        if workload.id not in self._known:
            self._known[workload.id] = workload
            append_line(self._definitions, workload.canonical_json)

    def _read_definitions(self) -> Iterator[Workload]:
        if self._definitions.exists():
            for line in self._definitions.read_text().splitlines():
                yield Workload.model_validate_json(line)

    def append(self, record: NewRecord) -> None:
        """Failures go in as MetaSchedule writes them, with a latency that no candidate has, if they have a trace."""
        workload = self._known[record.workload_id]
        line = self._line(workload, record.space)
        seconds = [latency / 1e6 for latency in record.latencies_us] or [1e10]
        target = json.loads(str(llvm_target(record.target.isa, record.target.threads)))
        arguments = self._arguments[workload.id, record.space]
        trace = record.trace
        if record.choice is not None:
            try:
                trace = trace_of(chosen(workload, record.target, record.choice))
            except Exception:  # what TVM raises for a choice that it refuses
                if isinstance(record, FailedRecord):
                    return  # for just that
                raise
        entry = [line, [trace, seconds, target, arguments]]
        append_line(self._records, json.dumps(entry))

    def _line(self, workload: Workload, space: str) -> int:
        key = workload.id, space
        if key not in self._lines:
            function = definition(space, workload)
            module = ms.tune_context._normalize_mod(function)
            append_line(self._workloads, json.dumps(json_values(ms.database.Workload(module).as_json())))
            self._lines[key] = len(self._lines)
            self._arguments[key] = [json_values(info.as_json()) for info in ArgInfo.from_prim_func(function)]
        return self._lines[key]


def append_line(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")


def drop_torn_line(path: Path) -> None:
    """A line without its end was being written when its attempt was killed."""
    if not path.exists():
        return
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        with path.open("r+b") as file:
            file.truncate(end)
