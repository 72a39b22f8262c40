"""What a reader makes of events, of this version's service and of a newer one's."""

import json
from typing import Any

import pytest

from tilewright.contract import events
from tilewright.contract.events import (
    EVENTS,
    FINAL_EVENTS,
    EventFields,
    QueuedEvent,
    RequeuedEvent,
    UnknownEvent,
    parse_event,
)
from tilewright.contract.jobs import JobState
from tilewright.http import Client

from .conftest import Reply, ScriptedServer
from .examples import NOON, event

STREAM = "text/event-stream"


def read(kind: str, data: dict[str, Any], **more: Any) -> events.AnyEvent:
    body = {"id": 1, "job_id": 7, "type": kind, "data": data, "created_at": NOON, **more}
    return parse_event(json.dumps(body))


def test_every_class_of_events_is_in_the_union() -> None:
    classes = {each for each in vars(events).values() if isinstance(each, type) and issubclass(each, EventFields)}
    assert set(EVENTS.values()) == {each for each in classes if each.__name__.endswith("Event")} - {UnknownEvent}


def test_a_job_ends_with_one_event_for_each_of_its_final_states() -> None:
    assert set(FINAL_EVENTS) == {state for state in JobState if state.is_final}
    assert all(kind == events.kind_of(event) for kind, event in FINAL_EVENTS.items())
    assert {kind for kind in EVENTS if read(kind, {}).is_final} == set(FINAL_EVENTS)


def test_data_is_typed_by_the_kind_of_event() -> None:
    event = read("requeued", {"attempt": 2, "reason": "it crashed"})
    assert isinstance(event, RequeuedEvent)
    assert (event.data.attempt, event.data.reason) == (2, "it crashed")


def test_keys_of_a_newer_service_are_passed_over_in_events_and_in_their_data() -> None:
    event = read("queued", {"workloads": 3, "colour": "blue"}, colour="blue")
    assert isinstance(event, QueuedEvent)
    assert event.data.workloads == 3


@pytest.mark.parametrize(("kind", "data"), [("paused", {"until": "noon"}), ("requeued", {"attempts": [1, 2]})])
def test_what_only_a_newer_client_can_read_is_an_unknown_event(kind: str, data: dict[str, Any]) -> None:
    event = read(kind, data)
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.data, event.is_final) == (kind, data, False)


def test_a_stream_goes_on_after_an_event_of_an_unknown_kind(server: ScriptedServer) -> None:
    server.replies(Reply(200, event(1) + event(2, "paused", until="noon") + event(3, "finished"), STREAM))
    story = list(Client(server.url).events(7))
    assert [type(each) for each in story] == [QueuedEvent, UnknownEvent, events.FinishedEvent]
