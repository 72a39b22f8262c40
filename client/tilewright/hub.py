"""The door for Python programs: submit workloads, load the best-known kernels."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from tilewright.contract.hosts import Host
from tilewright.contract.jobs import DEFAULT_TRIALS, JobRequest, JobSummary
from tilewright.contract.schedules import Lookup, Schedule
from tilewright.contract.target import Isa, Target, TargetName
from tilewright.contract.workload import Workload
from tilewright.errors import (
    ForeignSchedule,
    NoSchedule,
    ServerUnreachable,
    ServiceFailed,
    TilewrightError,
    Unavailable,
    UnexpectedAnswer,
)
from tilewright.http import Client, open_client
from tilewright.job_handle import JobHandle
from tilewright.kernel import Kernel
from tilewright.parts import from_kernels
from tilewright.schedule_cache import ScheduleCache, Served
from tilewright.workload_source import WorkloadSource, parse_workload, parse_workloads

AWAY = (ServerUnreachable, Unavailable, ServiceFailed, UnexpectedAnswer)
"""No answer, or none of a service in order: `load` goes on without it."""

SILENCE_FACTOR = 10
"""For so many times as long as it took to fail, a service is not asked again."""

QUICK_SECONDS = 0.1
"""A failure within this costs nothing to see again."""


def connect(url: str | None = None, token: str | None = None, user: str | None = None) -> "Hub":
    """The service at `url`, else at TILEWRIGHT_URL, else on this machine. Nothing is sent yet.

    Jobs are `user`'s, else those of TILEWRIGHT_USER, else of the login name.
    """
    return Hub(open_client(url, token, user))


class Hub:
    """A service, in the terms of somebody who wants fast convolutions."""

    def __init__(self, client: Client, cache: ScheduleCache | None = None) -> None:
        self.client = client
        self._cache = cache or ScheduleCache(client.url)
        self._failure: TilewrightError | None = None
        self._ask_again_at = 0.0

    def __repr__(self) -> str:
        return f"<Hub {self.client.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.client.close()

    def submit(
        self,
        workloads: WorkloadSource | Sequence[WorkloadSource] | None = None,
        *,
        network: str | None = None,
        batch: int | None = None,
        trials: int = DEFAULT_TRIALS,
        seconds: float | None = None,
        threads: int = 1,
        target: TargetName = "auto",
        host_class: str | None = None,
        priority: int = 0,
        idempotency_key: str | None = None,
    ) -> JobHandle:
        """Ask for one workload, several, or all of a network. `trials` and `seconds` are budgets for each of them.

        With a `host_class` only hosts of this class tune it.
        """
        request = JobRequest(
            workloads=None if workloads is None else parse_workloads(workloads),
            network=network,
            batch=batch,
            trials=trials,
            seconds=seconds,
            threads=threads,
            target=target,
            host_class=host_class,
            priority=priority,
        )
        return JobHandle(self.client, self.client.submit(request, idempotency_key))

    def job(self, job_id: int) -> JobHandle:
        return JobHandle(self.client, self.client.job(job_id))

    def jobs(self) -> Iterator[JobSummary]:
        """The newest first; `job` has the workloads of one."""
        return self.client.jobs()

    def best(
        self,
        workload: WorkloadSource,
        threads: int = 1,
        isa: Isa | None = None,
        host_class: str | None = None,
        strict: bool = False,
    ) -> Schedule | None:
        """The fastest schedule known, on any host unless told which; without one None, or `NoSchedule` if strict."""
        parsed = parse_workload(workload)
        question = Lookup(workloads=[parsed], threads=threads, isa=isa, host_class=host_class)
        schedule = self.client.lookup(question).items[0]
        if schedule is None and strict:
            raise _no_schedule(parsed, threads, host_class)
        return schedule

    def load(self, workload: WorkloadSource, threads: int = 1, strict: bool = False) -> Kernel:
        """The best-known kernel of this host, built.

        What the service serves is kept in a local cache ($TILEWRIGHT_CACHE_DIR, or `tilewright` where the user's
        caches are). While it does not answer, the last schedule that it served is used, with a warning; when it
        answers, only the answer counts. At most a tenth of the time goes into asking a service that does not answer.

        Without any schedule it is the default kernel, slower and just as exact, with a warning; if `strict`,
        `NoSchedule`, `ForeignSchedule`, or what was wrong with the service is raised instead. More `threads` than
        one hold for all kernels of the process.
        """
        load_kernel: Callable[..., Kernel] = from_kernels("load_kernel")
        parsed, host = parse_workload(workload), from_kernels("this_host")()
        try:
            schedule = self._schedule_for(host, parsed, threads)
            return load_kernel(parsed, schedule.target, schedule)
        except (NoSchedule, ForeignSchedule, *AWAY) as error:
            if strict:
                raise
            warnings.warn(f"using the default kernel of {parsed.name}: {error}", stacklevel=2)
            return load_kernel(parsed, Target(isa=host.isas[0], threads=threads), None)

    def database(self, threads: int = 1) -> AbstractContextManager[Any]:
        """A MetaSchedule database of this host's schedules, to be used as TVM's own compile flow does."""
        host: Host = from_kernels("this_host")()
        schedules = self.client.schedules(isa=host.isas[0], threads=threads, host_class=host.host_class)
        database: AbstractContextManager[Any] = from_kernels("schedule_database")(schedules)
        return database

    def _schedule_for(self, host: Host, workload: Workload, threads: int) -> Schedule:
        """Of the strongest path of this host for which there is one."""
        try:
            return self._asked(host, workload, threads)
        except AWAY:
            served = self._served_before(host, workload, threads)
            if served is None:
                raise
            known = f"schedule {served.schedule.id} of {workload.name}"
            when = f"as served on {served.served_at:%Y-%m-%d at %H:%M} UTC"
            warnings.warn(f"the service at {self.client.url} does not answer; using {known} {when}", stacklevel=3)
            return served.schedule

    def _asked(self, host: Host, workload: Workload, threads: int) -> Schedule:
        """Of a service that did not answer, not at once again: a program that loads many kernels is to go on."""
        began = time.monotonic()
        if self._failure is not None and began < self._ask_again_at:
            raise self._failure
        try:
            return self._served(host, workload, threads)
        except AWAY as error:
            took = time.monotonic() - began
            if took > QUICK_SECONDS:
                self._failure, self._ask_again_at = error, time.monotonic() + SILENCE_FACTOR * took
            raise

    def _served(self, host: Host, workload: Workload, threads: int) -> Schedule:
        for isa in host.isas:
            schedule = self.best(workload, threads, isa, host.host_class)
            self._cache.remember(workload, Target(isa=isa, threads=threads), host.host_class, schedule)
            if schedule is not None:
                return schedule
        raise _no_schedule(workload, threads, host.host_class)

    def _served_before(self, host: Host, workload: Workload, threads: int) -> Served | None:
        targets = [Target(isa=isa, threads=threads) for isa in host.isas]
        found = (self._cache.recall(workload, target, host.host_class) for target in targets)
        return next(filter(None, found), None)


def _no_schedule(workload: Workload, threads: int, host_class: str | None) -> NoSchedule:
    on = f"{threads} thread{'s' if threads > 1 else ''}{' of ' + host_class if host_class else ''}"
    return NoSchedule(f"no schedule is known for {workload.name} on {on}; tune it with `tilewright submit` first")
