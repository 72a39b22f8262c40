from tilewright.contract import Event

from .in_thread import ServiceInThread


def read(service: ServiceInThread, job_id: int, headers: dict[str, str] | None = None) -> list[Event]:
    text = service.http.get(f"/v1/jobs/{job_id}/events", headers=headers or {}).raise_for_status().text
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [Event.model_validate_json(each) for each in data]


def test_events_of_a_job_that_has_ended_are_replayed_and_end(service: ServiceInThread) -> None:
    job = service.submit()
    service.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert [event.type for event in read(service, job["id"])] == ["queued", "cancelled"]


def test_a_reader_goes_on_after_the_last_event_it_has_seen(service: ServiceInThread) -> None:
    job = service.submit()
    service.http.post(f"/v1/jobs/{job['id']}/cancel")
    first, last = read(service, job["id"])
    assert read(service, job["id"], {"Last-Event-ID": str(first.id)}) == [last]
    assert read(service, job["id"], {"Last-Event-ID": str(last.id)}) == []


def test_events_reach_a_reader_while_they_happen(service: ServiceInThread) -> None:
    job = service.submit()
    with service.http.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        kinds = (line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: "))
        assert next(kinds) == "queued"
        service.http.post(f"/v1/jobs/{job['id']}/cancel")
        assert list(kinds) == ["cancelled"]


def test_there_are_no_events_of_a_job_that_does_not_exist(service: ServiceInThread) -> None:
    assert service.http.get("/v1/jobs/77/events").status_code == 404
