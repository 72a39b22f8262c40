"""Events on their way to whoever follows a job: read from the table once, by one reader, for all.

The table is the truth, also where several services write to it. Events of one job are committed in the order of their
ids, because who writes them holds the row of the job; those of different jobs are not. So each job that is followed has
a cursor of its own.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from typing import NamedTuple

import structlog
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from tilewright.contract.events import AnyEvent
from tilewright.contract.jobs import JobState
from tilewright.errors import TooManyRequests, Unavailable
from tilewright_service.callers import SERVICE, Caller
from tilewright_service.metrics import Metrics
from tilewright_service.store.database import Database
from tilewright_service.store.events import events_after, events_of_jobs, newest_event_id
from tilewright_service.store.jobs import job_row
from tilewright_service.straight_way import StraightWay, chunk_of
from tilewright_service.turns import Turns

POLL_SECONDS = 0.2
HEARTBEAT_SECONDS = 10.0
PAGE = 500
REMEMBERED = 256
"""Events of a job, for readers that come back."""

MOST_WAITING = 256
"""Events for a reader that does not keep up. Then he is cut off; he knows where to go on."""

RETRY_SECONDS = 5.0

BEGINNING = ": here it comes\n\n"
STILL_HERE = ": still here\n\n"

log = structlog.get_logger()


class Told(NamedTuple):
    """An event as it is sent."""

    id: int
    text: str
    is_final: bool


class Page(NamedTuple):
    """Of one snapshot."""

    events: list[Told]
    newest_id: int
    """Of all events of the job."""
    is_over: bool
    """Nothing will come after these."""
    has_more: bool = False


class Reader:
    """What one reader still has to get."""

    def __init__(self, last_id: int, way: StraightWay | None = None) -> None:
        self.last_id = last_id
        """Of the last event that he got."""
        self.is_cut_off = False
        self._way = way
        self._waiting: deque[Told] = deque()
        self._news = asyncio.Event()
        self._listens = False
        """Nothing is on its way to him."""

    def tell(self, events: Sequence[Told], chunk: bytes) -> None:
        """`chunk` is all of these, for those who have all before. What ends a stream goes the usual way."""
        is_next = self._listens and self.is_empty and self.last_id < events[0].id and not events[-1].is_final
        if is_next and self._way is not None and self._way.write(chunk):
            self.last_id = events[-1].id
        else:
            self.put(events)

    def put(self, events: Sequence[Told]) -> None:
        if not events:
            return
        if len(self._waiting) + len(events) > MOST_WAITING:
            self.is_cut_off = True
        else:
            self._waiting.extend(events)
        self._news.set()

    def cut_off(self) -> None:
        self.is_cut_off = True
        self._news.set()

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    async def take(self, seconds: float) -> list[Told]:
        """All that he does not have; empty when nothing came in time, or nothing will."""
        if self.is_empty and not self.is_cut_off:
            await self._listen(seconds)
        events = [told for told in self._waiting if told.id > self.last_id]
        self._waiting.clear()
        self._news.clear()
        self.last_id = events[-1].id if events else self.last_id
        return events

    async def _listen(self, seconds: float) -> None:
        self._listens = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
        finally:
            self._listens = False


class Story:
    """One job that is followed: what was read of it, and who wants to hear it."""

    def __init__(self, last_id: int) -> None:
        self.last_id = last_id
        self.floor = last_id
        """What came after it is remembered."""
        self.is_over = False
        self.readers: set[Reader] = set()
        self._remembered: deque[Told] = deque()

    def add(self, events: Sequence[Told]) -> None:
        self.last_id = events[-1].id
        self.is_over = events[-1].is_final
        self._remembered.extend(events)
        while len(self._remembered) > REMEMBERED:
            self.floor = self._remembered.popleft().id
        chunk = chunk_of(_text(events))
        for reader in self.readers:
            reader.tell(events, chunk)

    def after(self, last_id: int) -> list[Told]:
        """Of what is remembered."""
        return [told for told in self._remembered if told.id > last_id]


class EventHub:
    def __init__(
        self,
        database: Database,
        reading: Turns,
        metrics: Metrics,
        is_stopping: Callable[[], bool],
        most: int,
        most_of_one: int,
    ) -> None:
        self._database = database
        self._reading = reading
        self._metrics = metrics
        self._is_stopping = is_stopping
        self._most = most
        self._most_of_one = most_of_one
        self._followers: Counter[Caller] = Counter()
        self._stories: dict[int, Story] = {}
        self._polling: asyncio.Task[None] | None = None

    @property
    def readers(self) -> int:
        return self._followers.total()

    @contextmanager
    def place(self, caller: Caller) -> Iterator[None]:
        """One of the places for readers. Raises TooManyRequests or Unavailable where there is none."""
        if self._followers[caller] >= self._most_of_one:
            raise TooManyRequests(f"you follow {self._most_of_one} jobs already").after(RETRY_SECONDS)
        if self.readers >= self._most:
            raise Unavailable(f"{self._most} readers follow jobs already").after(RETRY_SECONDS)
        self._followers[caller] += 1
        self._metrics.readers.inc()
        try:
            yield
        finally:
            self._metrics.readers.dec()
            self._followers[caller] -= 1
            if not self._followers[caller]:
                del self._followers[caller]

    async def look(self, job_id: int, last_id: int, caller: Caller) -> Page | None:
        """The first page of what happened after `last_id`; None where it is remembered. Raises NotFound."""
        if self._remembers(job_id, last_id):
            return None
        async with self._reading.take(caller):
            return await run_in_threadpool(self._page, job_id, last_id)

    async def follow(
        self, job_id: int, last_id: int, first: Page | None, caller: Caller, way: StraightWay | None = None
    ) -> AsyncGenerator[str]:
        """What happened after `last_id`, then what happens. It ends after the final event; or earlier, when the service
        stops or the reader is too slow: then he asks again, with the id of the last event that he got. `first` is what
        `look` gave. To who has all else, events go by the straight `way`, where there is one.
        """
        yield BEGINNING
        with suppress(Unavailable, SQLAlchemyError):  # the reader asks again
            async with aclosing(self._events(job_id, last_id, first, caller, way)) as parts:
                async for events in parts:
                    yield _text(events) if events else STILL_HERE

    async def _events(
        self, job_id: int, last_id: int, page: Page | None, caller: Caller, way: StraightWay | None
    ) -> AsyncGenerator[list[Told]]:
        """An empty list is a sign of life."""
        newest_id = 0
        page = page or await self.look(job_id, last_id, caller)  # what was remembered then may not be any more
        while page is not None:
            newest_id = page.newest_id
            if page.events:
                yield page.events
                last_id = page.events[-1].id
            if page.is_over:
                return
            page = await self.look(job_id, last_id, caller) if page.has_more or job_id in self._stories else None
        reader = Reader(last_id, way)
        with self._subscription(job_id, newest_id, reader) as story:
            reader.put(story.after(last_id))
            while not story.is_over or not reader.is_empty:
                if reader.is_cut_off and reader.is_empty:
                    return
                yield await reader.take(HEARTBEAT_SECONDS)

    def _remembers(self, job_id: int, last_id: int) -> bool:
        """Whether all that is missing is at hand."""
        story = self._stories.get(job_id)
        return story is not None and last_id >= story.floor

    @contextmanager
    def _subscription(self, job_id: int, newest_id: int, reader: Reader) -> Iterator[Story]:
        story = self._stories.setdefault(job_id, Story(newest_id))
        story.readers.add(reader)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            yield story
        finally:
            story.readers.discard(reader)
            if not story.readers and self._stories.get(job_id) is story:
                del self._stories[job_id]

    async def _poll(self) -> None:
        """As long as anybody follows anything."""
        while self._stories:
            if self._is_stopping():
                self._cut_all_off()
                return
            try:
                await self._read_news()
            except (Unavailable, SQLAlchemyError) as error:  # then in the next round
                log.warning("events_unread", error=str(error))
            except Exception as error:
                log.error("events_failed", error=repr(error), exc_info=error)
            await asyncio.sleep(POLL_SECONDS)

    async def _read_news(self) -> None:
        cursors = {job_id: story.last_id for job_id, story in self._stories.items()}
        async with self._reading.take(SERVICE):
            news = await run_in_threadpool(self._news, cursors)
        for job_id, events in news.items():
            story = self._stories.get(job_id)
            if story is not None and story.last_id == cursors[job_id]:
                story.add(events)
                self._metrics.readers_cut_off.inc(sum(reader.is_cut_off for reader in story.readers))
                story.readers -= {reader for reader in story.readers if reader.is_cut_off}

    def _cut_all_off(self) -> None:
        for story in self._stories.values():
            for reader in story.readers:
                reader.cut_off()

    def _page(self, job_id: int, last_id: int) -> Page:
        with self._database.reading() as session:
            events = [_told(event) for event in events_after(session, job_id, last_id, PAGE)]
            if events:
                return Page(events, events[-1].id, events[-1].is_final, has_more=len(events) == PAGE)
            is_over = JobState(job_row(session, job_id).state).is_final
            return Page(events, newest_event_id(session, job_id), is_over)

    def _news(self, cursors: dict[int, int]) -> dict[int, list[Told]]:
        news: dict[int, list[Told]] = {}
        with self._database.reading() as session:
            for event in events_of_jobs(session, cursors):
                news.setdefault(event.job_id, []).append(_told(event))
        return news


def _text(events: Sequence[Told]) -> str:
    return "".join(told.text for told in events)


def _told(event: AnyEvent) -> Told:
    text = f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
    return Told(event.id, text, event.is_final)
