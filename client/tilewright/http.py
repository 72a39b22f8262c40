"""The service's HTTP interface, one method an endpoint."""

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Self, TypeVar

import httpx2

from tilewright.caller import caller_headers, caller_name
from tilewright.contract.events import AnyEvent
from tilewright.contract.health import AilingPart, Readiness, Version
from tilewright.contract.hosts import Host
from tilewright.contract.jobs import Job, JobRequest, JobState, JobSummary
from tilewright.contract.message import Message
from tilewright.contract.networks import Network
from tilewright.contract.pages import Page
from tilewright.contract.records import Record
from tilewright.contract.schedules import Lookup, LookupResult, Schedule, ScheduleDetail
from tilewright.contract.target import Isa
from tilewright.contract.workers import Worker
from tilewright.errors import InvalidRequest, ServerUnreachable, Unavailable, UnexpectedAnswer
from tilewright.event_stream import EventStream
from tilewright.transport import Params, Transport

DEFAULT_URL = "http://127.0.0.1:8000"

PATIENCE_SECONDS = 1.0
"""How long a request is repeated while nobody answers."""

LONGEST_KEY = 255

Item = TypeVar("Item", bound=Message)


def open_client(url: str | None = None, token: str | None = None, user: str | None = None) -> "Client":
    """Of the service at `url`, else at TILEWRIGHT_URL, else on this machine. Nothing is sent yet.

    `user` is who asks, else TILEWRIGHT_USER, else the login name.
    """
    address = url or os.environ.get("TILEWRIGHT_URL") or DEFAULT_URL
    return Client(address, token or os.environ.get("TILEWRIGHT_TOKEN") or None, user=caller_name(user))


class Client:
    """A service at `url`. Raises the errors of `tilewright.errors`; lists are read page by page as they are used.

    Without a `user` nobody in particular asks: who cancels a job then cancels it for everybody.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx2.BaseTransport | None = None,
        user: str = "",
    ) -> None:
        self.user = caller_name(user)
        self._transport = Transport(url, token, patience_seconds, transport, headers=caller_headers(self.user))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    @property
    def url(self) -> str:
        return self._transport.url

    def submit(self, request: JobRequest, idempotency_key: str | None = None) -> Job:
        """A new job, or the open one that asks for the same."""
        headers = {"Idempotency-Key": _check_key(idempotency_key or str(uuid.uuid4()))}
        return self._transport.post("/v1/jobs", request, Job, headers)

    def job(self, job_id: int) -> Job:
        return self._transport.get(f"/v1/jobs/{job_id}", Job)

    def jobs(self, state: JobState | None = None) -> Iterator[JobSummary]:
        """The newest first; `job` has the workloads of one."""
        return self._items("/v1/jobs", Page[JobSummary], {"state": state})

    def cancel(self, job_id: int, everybody: bool = False) -> Job:
        """Withdraw from it. When nobody is left who wants it, or for `everybody`, it is `cancelled` a few seconds
        later; what was measured is kept. Raises Conflict for a job of others only.
        """
        query = "?everybody=true" if everybody else ""
        return self._transport.post(f"/v1/jobs/{job_id}/cancel{query}", None, Job)

    def events(self, job_id: int, last_event_id: int | None = None) -> Iterator[AnyEvent]:
        """Everything after `last_event_id`, then what happens from now on, until the job ends."""
        return iter(EventStream(self._transport, job_id, last_event_id))

    def records(self, job_id: int | None = None) -> Iterator[Record]:
        """All records of a job, or of everything."""
        path = "/v1/records" if job_id is None else f"/v1/jobs/{job_id}/records"
        return self._items(path, Page[Record])

    def lookup(self, question: Lookup) -> LookupResult:
        return self._transport.post("/v1/schedules/lookup", question, LookupResult)

    def schedules(
        self,
        workload_id: str | None = None,
        network: str | None = None,
        isa: Isa | None = None,
        threads: int | None = None,
        host_class: str | None = None,
    ) -> Iterator[Schedule]:
        filters: Params = {
            "workload_id": workload_id,
            "network": network,
            "isa": isa,
            "threads": threads,
            "host_class": host_class,
        }
        return self._items("/v1/schedules", Page[Schedule], filters)

    def schedule(self, schedule_id: int) -> ScheduleDetail:
        return self._transport.get(f"/v1/schedules/{schedule_id}", ScheduleDetail)

    def workers(self) -> Iterator[Worker]:
        return self._items("/v1/workers", Page[Worker])

    def hosts(self) -> Iterator[Host]:
        return self._items("/v1/hosts", Page[Host])

    def networks(self) -> Iterator[Network]:
        """Those that a job can name."""
        return self._items("/v1/networks", Page[Network])

    def is_healthy(self) -> bool:
        """Whether a Tilewright service answers at all."""
        with suppress(ServerUnreachable, UnexpectedAnswer, Unavailable):
            return self._transport.request("GET", "/healthz").is_success
        return False

    def ailing_parts(self) -> list[AilingPart]:
        """Of the service, as it finds itself; none when it is ready."""
        found = self._transport.look("/readyz", Unavailable.status, Readiness)
        if found.detail is not None and not found.parts:
            raise Unavailable(found.detail)
        return found.parts

    def version(self) -> str:
        return self._transport.get("/version", Version).version

    def _items(self, path: str, page: type[Page[Item]], params: Params | None = None) -> Iterator[Item]:
        answer = self._transport.get(path, page, {"limit": 200, **(params or {})})
        yield from answer.items
        while answer.next is not None:
            answer = self._transport.get(answer.next, page)
            yield from answer.items


def _check_key(key: str) -> str:
    if not isinstance(key, str) or not key.isascii() or not key.isprintable() or len(key) > LONGEST_KEY:
        raise InvalidRequest(
            f"an idempotency key is text of at most {LONGEST_KEY} ASCII characters, without line breaks"
        )
    return key
