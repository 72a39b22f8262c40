"""What the service refuses, it refuses in its own words, whatever is wrong with a request and in whichever part."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Cause, Failed, RecordBatch, Renewal, WorkloadOutcome
from tilewright.contract.jobs import JobRequest
from tilewright.contract.message import Message
from tilewright.contract.schedules import Lookup
from tilewright.contract.workload import Workload

from ..client.mutations import FEW_ODD, LIBRARY_WORDS, mutations
from .in_thread import ServiceInThread, serving
from .running import workload
from .stand_in import START, invented_publication, invented_record

JSON = {"Content-Type": "application/json"}
WORKLOAD = Workload(**workload())
ATTEMPT = "/v1/jobs/1/attempts/1"

REQUESTS: list[tuple[str, Message]] = [
    ("/v1/jobs", JobRequest(workloads=[WORKLOAD], seconds=5)),
    ("/v1/jobs", JobRequest(network="resnet18", batch=2)),
    ("/v1/schedules/lookup", Lookup(workloads=[WORKLOAD], isa="avx2")),
    (f"{ATTEMPT}/start", START),
    (f"{ATTEMPT}/records", RecordBatch(records=[invented_record(1, 1, WORKLOAD.id, 0)])),
    (f"{ATTEMPT}/renew", Renewal(progress=1)),
    (f"{ATTEMPT}/schedules", invented_publication(1, 1, WORKLOAD.id, replaces=1)),
    (f"{ATTEMPT}/outcomes", WorkloadOutcome(workload_id=WORKLOAD.id, stop_reason="budget", seconds=1, schedule_id=1)),
    (f"{ATTEMPT}/result", Failed(cause=Cause.MOMENT, reason="it broke")),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceInThread]:
    with serving(tmp_path_factory.mktemp("words")) as service:
        yield service


@pytest.fixture(scope="module")
def attempt(service: ServiceInThread) -> Iterator[AttemptClient]:
    service.submit()
    with service.begin_attempt(START) as attempt:
        yield attempt


def refusal(answer: Any) -> str:
    """The sentence, after a look at all of them."""
    document = answer.json()
    for text in (document["detail"], *(each["message"] for each in document.get("errors", []))):
        assert text
        assert not LIBRARY_WORDS.search(text), text
    return str(document["detail"])


@pytest.mark.parametrize(("path", "request_"), REQUESTS, ids=[path for path, _ in REQUESTS])
def test_no_body_is_refused_in_the_words_of_a_library(
    service: ServiceInThread, attempt: AttemptClient, path: str, request_: Message
) -> None:
    headers = {**JSON, "Authorization": f"Bearer {attempt.order.token}"}

    def post(mutation: Any) -> Any:
        return service.http.post(path, content=json.dumps(mutation), headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, mutations(request_.model_dump(mode="json"), FEW_ODD)))
    refused = [answer for answer in answers if answer.status_code >= 400]
    assert len(refused) > 10
    for answer in refused:
        assert answer.status_code < 500
        refusal(answer)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the body is missing"),
        (b"{", "the body is not JSON: it ends within an object (line 1, column 1)"),
        (b'{\n "network" 1}', "the body is not JSON: expected `:` (line 2, column 12)"),
        (b"[]", "the body is []; it has to be an object {...}"),
        (b"null", "the body is null; it has to be an object {...}"),
        (b"{}", "give either workloads or network"),
        (b'{"workload": {}}', "there is no field 'workload'; did you mean workloads?"),
        (b'{"workloads": []}', "workloads has 0 entries; it may have from 1 to 1000"),
        (
            b'{"network": "resnet18", "seconds": "ten"}',
            "seconds is 'ten'; it has to be a number above 0 and at most 86400",
        ),
    ],
)
def test_a_body_is_refused_as_a_person_would(service: ServiceInThread, body: bytes, sentence: str) -> None:
    assert refusal(service.http.post("/v1/jobs", content=body, headers=JSON)) == sentence


def test_the_paths_of_errors_lead_into_the_body(service: ServiceInThread) -> None:
    body = {"workloads": [workload(groups=0, padding=[1, 1], stride=[0, 1])], "trials": "many"}
    document = service.http.post("/v1/jobs", json=body).json()
    assert {each["field"]: each["message"] for each in document["errors"]} == {
        "workloads.0.groups": "groups is 0; it has to be from 1 to 65536",
        "workloads.0.padding": "padding is 4 numbers: top, left, bottom, right (found 2)",
        "workloads.0.stride.0": "stride[0] is 0; it has to be from 1 to 256",
        "trials": "trials is 'many' (text); it has to be a whole number from 1 to 100000",
    }


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v1/jobs/one", "job_id is 'one'; it has to be a whole number from 1 to 2^63 - 1"),
        ("/v1/jobs/0", "job_id is 0; it has to be from 1 to 2^63 - 1"),
        ("/v1/jobs/" + "12345" * 20, "job_id is '1234512345123451234512345123451234512345…'; it has"),
        ("/v1/jobs?limit=201", "limit is 201; it has to be from 1 to 200"),
        ("/v1/jobs?limit=all", "limit is 'all'; it has to be a whole number from 1 to 200"),
        ("/v1/jobs?state=lost", "state is 'lost'; it is one of queued, running, finished, failed, cancelled"),
        ("/v1/jobs?sate=failed", "there is no field 'sate'; did you mean state?"),
        ("/v1/schedules?workload_id=7", "workload_id is '7'; it has to be 64 hexadecimal digits"),
        ("/v1/schedules?threads=0&threads=1&isa=sse2", "isa is 'sse2'; it is one of avx512_vnni, avx_vnni, "),
        ("/v1/schedules/first", "schedule_id is 'first'; it has to be a whole number from 1 to 2^63 - 1"),
        ("/v1/jobs/1/events?after=now", "after is 'now'; it has to be a whole number from 0 to 2^63 - 1"),
        ("/v1/nothing", "there is nothing at /v1/nothing; /docs lists what there is"),
    ],
)
def test_paths_and_queries_are_refused_in_words(service: ServiceInThread, path: str, sentence: str) -> None:
    assert refusal(service.http.get(path)).startswith(sentence)


def test_headers_and_methods_are_refused_in_words(service: ServiceInThread) -> None:
    body = {"network": "resnet18"}
    answer = service.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k" * 256})
    assert refusal(answer) == "idempotency-key has 256 characters; it may have from 1 to 255"
    answer = service.http.get("/v1/jobs/1/events", headers={"Last-Event-ID": "last"})
    assert refusal(answer) == "Last-Event-ID is 'last'; it has to be a whole number from 0 to 2^63 - 1"
    assert refusal(service.http.delete("/v1/jobs")).startswith("/v1/jobs does not take DELETE")


def test_a_query_of_an_attempt_is_refused_in_words(service: ServiceInThread, attempt: AttemptClient) -> None:
    headers = {"Authorization": f"Bearer {attempt.order.token}"}
    answer = service.http.get(f"{ATTEMPT}/history?isa=sse2&neighbours=perhaps", headers=headers)
    assert refusal(answer) == (
        "workload_id is missing. isa is 'sse2'; it is one of avx512_vnni, avx_vnni, avx512bw, avx2, x86_64. "
        "neighbours is 'perhaps'; it has to be true or false"
    )
