"""Whether a history may happen: what was acknowledged, measured and seen, against what is stored in the end.

Each check gives sentences about what must not be; an empty list is a good history. The observations are those of
`observer.py` (kinds `submitted`, `cancel`, `state`), of whoever plays (`outage`) and of `stand_in.py` (`started`,
`assigned`, `record`, `published`, `outcome`, `measured`).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .end_state import EndState
from .observations import Observation

FINAL = ("finished", "failed", "cancelled")
CANCEL_SECONDS = 7.0


@dataclass(frozen=True)
class History:
    seen: Sequence[Observation]
    end: EndState

    def faults(self) -> list[str]:
        checks = (
            self.lost_jobs,
            self.lost_records,
            self.lost_publications,
            self.lost_outcomes,
            self.doubles,
            self.revoked_ends,
            self.twins,
            self.divided_authority,
            self.shared_cores,
            self.silent_jobs,
            self.slow_cancels,
        )
        return [*self.end.ailments, *(fault for check in checks for fault in check())]

    def lost_jobs(self) -> list[str]:
        """An acknowledged submission is a job; the same key is the same job."""
        jobs = {job.id for job in self.end.jobs}
        lost = {seen.job for seen in self._of("submitted")} - jobs
        by_key: dict[str, set[int]] = defaultdict(set)
        for seen in self._of("submitted"):
            by_key[seen.key].add(seen.job)
        return [f"job {job} was acknowledged and is gone" for job in sorted(lost)] + [
            f"the key {key} made the jobs {sorted(found)}" for key, found in by_key.items() if len(found) > 1
        ]

    def lost_records(self) -> list[str]:
        stored = {(record.workload_id, record.candidate) for record in self.end.records}
        return [
            f"record {seen.candidate[:8]} of {seen.workload[:8]} was acknowledged to {_who(seen)} and is gone"
            for seen in self._of("record")
            if (seen.workload, seen.candidate) not in stored
        ]

    def lost_publications(self) -> list[str]:
        stored = {schedule.id: schedule.workload_id for schedule in self.end.schedules}
        return [
            f"schedule {seen.schedule} was acknowledged to {_who(seen)} and is gone or another"
            for seen in self._of("published")
            if stored.get(seen.schedule) != seen.workload
        ]

    def lost_outcomes(self) -> list[str]:
        """What was said to be done stays so, with its schedule."""
        found = {(each.job_id, each.workload_id): (each.state, each.schedule_id) for each in self.end.workloads}
        return [
            f"{_who(seen)} was told that {seen.workload[:8]} is done; it is {found.get((seen.job, seen.workload))}"
            for seen in self._of("outcome")
            if found.get((seen.job, seen.workload)) != ("done", seen.schedule)
        ]

    def doubles(self) -> list[str]:
        """Nothing is stored, counted, served or told twice."""
        records = _repeated(record[:5] for record in self.end.records)
        served = _repeated(schedule[1:5] for schedule in self.end.schedules if schedule.is_current)
        ends = _repeated((event.job_id, event.type in FINAL) for event in self.end.events if event.type in FINAL)
        done = _repeated((seen.job, seen.workload) for seen in self._of("outcome"))
        trials: Counter[int] = Counter()
        for each in self.end.workloads:
            trials[each.job_id] += each.trials
        of_jobs = Counter(record.job_id for record in self.end.records)
        return [
            *(f"a record is stored twice: {record}" for record in records),
            *(f"two schedules are served: {schedule}" for schedule in served),
            *(f"job {job} ended twice" for job, _ in ends),
            *(f"the outcome of {workload[:8]} in job {job} was taken twice" for job, workload in done),
            *(
                f"job {job} counts {trials[job]} trials and has {of_jobs[job]} records"
                for job in trials
                if trials[job] != of_jobs[job]
            ),
        ]

    def revoked_ends(self) -> list[str]:
        """A job that has ended stays as it is, to every eye and in its events."""
        last: dict[int, str] = {}
        faults = []
        for seen in self._of("state"):
            before = last.get(seen.job)
            if before in FINAL and seen.state != before:
                faults.append(f"job {seen.job} was {before}, and then {seen.state}")
            last[seen.job] = seen.state
        stored = {job.id: job.state for job in self.end.jobs}
        faults += [
            f"job {job} was seen {state}, and is {stored.get(job)}"
            for job, state in last.items()
            if state in FINAL and stored.get(job) != state
        ]
        ended: set[int] = set()
        for event in self.end.events:
            if event.job_id in ended:
                faults.append(f"after the end of job {event.job_id} came {event.type}")
            if event.type in FINAL:
                ended.add(event.job_id)
        return faults

    def divided_authority(self) -> list[str]:
        """Once a workload is somebody's, what another asks later in its name is refused, until it is his again.

        Assignments are known from when they were answered, writes from when they were asked for: in between both
        orders are right. An attempt may have it again from one that began later, and was killed.
        """
        writes = [seen for seen in self.seen if seen.kind in ("published", "outcome")]
        assigned: dict[tuple[int, str], list[Observation]] = defaultdict(list)
        for seen in self._of("assigned"):
            assigned[seen.job, seen.workload].append(seen)
        return [
            f"{_who(write)} was heard on {write.workload[:8]} {write.asked - other.at:.1f} s after {_who(other)} had it"
            for write in writes
            for other in assigned[write.job, write.workload]
            if other.attempt != write.attempt
            and other.at < write.asked
            and other.asked > _last_had(write, assigned[write.job, write.workload])
        ]

    def twins(self) -> list[str]:
        """An attempt is one process, however often it was delivered."""
        processes: dict[tuple[int, int], set[int]] = defaultdict(set)
        for seen in self._of("started"):
            processes[seen.job, seen.attempt].add(seen.pid)
        return [
            f"attempt {attempt} of job {job} was started by {len(found)} processes"
            for (job, attempt), found in processes.items()
            if len(found) > 1
        ]

    def shared_cores(self) -> list[str]:
        """No two measurements at once on a core of a machine."""
        intervals: dict[tuple[str, int], list[tuple[float, float, int]]] = defaultdict(list)
        for seen in self._of("measured"):
            for core in seen.cores:
                intervals[seen.host, core].append((seen.began, seen.at, seen.pid))
        return [
            f"core {core} of {host} was measured on by {one[2]} and {other[2]} at once"
            for (host, core), spans in intervals.items()
            for one, other in pairwise(sorted(spans))
            if other[0] < one[1]
        ]

    def silent_jobs(self) -> list[str]:
        return [f"job {job.id} is {job.state} and does not say why" for job in self.end.jobs if self._is_silent(*job)]

    def slow_cancels(self) -> list[str]:
        seconds = sorted(self.cancel_seconds().values())
        if not seconds:
            return []
        slow = seconds[min(len(seconds) * 99 // 100, len(seconds) - 1)]
        return [] if slow <= CANCEL_SECONDS else [f"the slowest cancel took {slow:.1f} s"]

    def cancel_seconds(self) -> dict[int, float]:
        """From the answer to the end, of each job that was cancelled; without the time in which nobody was there."""
        asked: dict[int, float] = {}
        took: dict[int, float] = {}
        outages = [(seen.began, seen.at) for seen in self._of("outage")]
        for seen in self.seen:
            if seen.kind == "cancel":
                asked.setdefault(seen.job, seen.at)
            if seen.kind == "state" and seen.state in FINAL and seen.job in asked:
                took.setdefault(seen.job, _seconds_without(outages, asked[seen.job], seen.at))
        return took

    def _is_silent(self, job_id: int, state: str, reason: str | None) -> bool:
        """A job that waits may say so to whoever asks, and store nothing: then an observer has heard it."""
        if state in FINAL:
            return False
        heard = [seen for seen in self._of("state") if seen.job == job_id]
        return not (reason or (heard and (heard[-1].reason or heard[-1].state == "running")))

    def _of(self, kind: str) -> Iterable[Observation]:
        return (seen for seen in self.seen if seen.kind == kind)


def _last_had(write: Observation, assigned: Sequence[Observation]) -> float:
    """When the writer was told for the last time that the workload is his."""
    own = [each.at for each in assigned if each.attempt == write.attempt and each.at <= write.asked]
    return max(own, default=-math.inf)


def _who(seen: Observation) -> str:
    return f"attempt {seen.attempt} of job {seen.job}"


def _seconds_without(outages: Sequence[tuple[float, float]], began: float, ended: float) -> float:
    away = sum(max(0.0, min(ended, until) - max(began, since)) for since, until in outages)
    return ended - began - away


def _repeated(items: Iterable[tuple]) -> list[tuple]:
    return [item for item, count in Counter(items).items() if count > 1]
