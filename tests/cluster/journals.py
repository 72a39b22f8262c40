"""What real attempts have left on their machines, against what they noted and what the database says."""

from collections import Counter
from pathlib import Path

from tilewright.contract.records import FailedRecord, FailureKind, NewRecord, parse_record

from .cluster import Cluster
from .end_state import EndState
from .observations import read_observations

OF_PROCESSES = (FailureKind.CRASH, FailureKind.TIMEOUT)

Key = tuple[str, str]
"""Workload and candidate."""


class Journals:
    """As they are now."""

    def __init__(self, cluster: Cluster) -> None:
        self._url = cluster.database_url
        self._seen = read_observations(cluster.folder)
        folders = [folder for machine in cluster.machines for folder in machine.logs.iterdir() if folder.is_dir()]
        self.records = [record for folder in folders for record in _records_in(folder)]
        self._crashed = {tuple(line.split()) for folder in folders for line in _lines_of(folder / "crashed.txt")}

    @property
    def are_delivered(self) -> bool:
        return not self._undelivered(EndState.read(self._url))

    @property
    def ended_processes(self) -> set[Key]:
        """Whose trial ended an evaluator."""
        return {_key(each) for each in self._failures() if each.failure in OF_PROCESSES}

    @property
    def failed(self) -> set[Key]:
        return {_key(each) for each in self._failures()}

    @property
    def misbehaved(self) -> set[Key]:
        return {(seen.workload, seen.candidate) for seen in self._seen if seen.kind == "misbehaved"}

    def faults(self) -> list[str]:
        """All was delivered, nothing measured twice; what ended an evaluator was neither touched again nor served."""
        end = EndState.read(self._url)
        twice = [candidate[:8] for (_, candidate), number in Counter(map(_key, self.records)).items() if number > 1]
        builds = Counter((seen.workload, seen.candidate) for seen in self._seen if seen.kind == "build")
        again = [each[1][:8] for each in self.ended_processes if builds[each] > 1]
        served = {(seen.workload, seen.candidate) for seen in self._seen if seen.kind == "published"}
        checks = {
            f"measured twice: {twice}": twice,
            f"measured and not delivered: {self._undelivered(end)}": self._undelivered(end),
            f"built again after they had ended an evaluator: {again}": again,
            f"served after they had ended an evaluator: {served & self._crashed}": served & self._crashed,
        }
        return [fault for fault, found in checks.items() if found]

    def _failures(self) -> list[FailedRecord]:
        return [each for each in self.records if isinstance(each, FailedRecord)]

    def _undelivered(self, end: EndState) -> list[str]:
        stored = {(each.workload_id, each.candidate) for each in end.records}
        return [each.candidate[:8] for each in self.records if _key(each) not in stored]


def _key(record: NewRecord) -> Key:
    return record.workload_id, record.candidate


def _records_in(folder: Path) -> list[NewRecord]:
    return [parse_record(line) for line in _lines_of(folder / "records.jsonl")]


def _lines_of(path: Path) -> list[str]:
    """The whole ones: the last may be being written."""
    text = path.read_text() if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
