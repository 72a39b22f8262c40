"""Each is answered with a problem document that names the field or the remedy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tilewright import connect
from tilewright.errors import Unauthorized
from tilewright_service.settings import Settings

from ..databases import KINDS, migrated_database
from .in_thread import ServiceInThread, serving
from .running import workload

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module", params=KINDS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceInThread]:
    folder = tmp_path_factory.mktemp("bad_input")
    with migrated_database(request, folder) as url, serving(folder, database_url=url) as service:
        yield service


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:tilewright:problem:")
    return document


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"workloads": [workload(height=-1)]}, "workloads.0.height"),
        ({"workloads": [workload(height=10**30)]}, "workloads.0.height"),
        ({"workloads": [workload(height="8")]}, "workloads.0.height"),
        ({"workloads": [workload(groups=3)]}, "workloads.0"),
        ({"workloads": [workload(colour="red")]}, "workloads.0.colour"),
        ({"workloads": []}, "workloads"),
        ({"workloads": [workload()], "trials": 0}, "trials"),
        ({"workloads": [workload()], "trials": 2**80}, "trials"),
        ({"workloads": [workload()], "priority": "high"}, "priority"),
        ({"workloads": [workload()], "network": "resnet18"}, ""),
        ({}, ""),
        ([], ""),
        ({"workloads": [workload(kernel_size=0)]}, "workloads.0.kernel_size"),
        ({"workloads": [workload(padding=[1, 1])]}, "workloads.0.padding"),
    ],
)
def test_a_bad_field_is_named(service: ServiceInThread, body: Any, field: str) -> None:
    document = problem(service.http.post("/v1/jobs", json=body), 422)
    assert field in [error["field"] for error in document["errors"]]


def test_an_unknown_network_is_answered_with_the_known_ones(service: ServiceInThread) -> None:
    document = problem(service.http.post("/v1/jobs", json={"network": "resnet19"}), 422)
    assert document["type"] == "urn:tilewright:problem:unknown-network"
    assert "resnet18" in document["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b'{"workloads": NaN}',
        b'{"network": "resnet18", "seconds": Infinity}',
        b'{"network": "resnet18", "seconds": 1e999}',
        b'{"network": "\xff\xfe"}',
        b'{"network": "\\ud800"}',
        b'{"network": "\\u0000"}',
        b"[" * 50_000,
        b'{"trials": ' + b"9" * 100_000 + b"}",
    ],
)
def test_what_is_not_json_is_refused(service: ServiceInThread, body: bytes) -> None:
    problem(service.http.post("/v1/jobs", content=body, headers=JSON), 422)


def test_another_media_type_is_refused(service: ServiceInThread) -> None:
    problem(service.http.post("/v1/jobs", data={"network": "resnet18"}), 415)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_20_mb_is_too_large(service: ServiceInThread, is_chunked: bool) -> None:
    body = iter([b" " * 2**20] * 20) if is_chunked else b" " * 20 * 2**20
    problem(service.http.post("/v1/jobs", content=body, headers=JSON), 413)
    assert service.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/jobs/1000000", 404),
        ("/v1/jobs/0", 422),
        ("/v1/jobs/99999999999999999999999", 422),
        ("/v1/jobs/one", 422),
        ("/v1/nothing", 404),
        ("/v1/schedules/1", 404),
        ("/v1/schedules?workload_id=%00", 422),
        ("/v1/schedules?workload=1", 422),
        ("/v1/schedules?network=nothing", 422),
        ("/v1/jobs?limit=201", 422),
        ("/v1/jobs?state=lost", 422),
        ("/v1/jobs?cursor=-1", 422),
    ],
)
def test_a_wrong_path_or_query_is_answered_with_a_problem_document(
    service: ServiceInThread, path: str, status: int
) -> None:
    problem(service.http.get(path), status)


def test_a_wrong_method_is_told_the_right_one(service: ServiceInThread) -> None:
    answer = service.http.delete("/v1/jobs")
    problem(answer, 405)
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("header", ["Host", "Origin"])
def test_a_page_elsewhere_cannot_speak_for_its_reader(service: ServiceInThread, header: str) -> None:
    problem(service.http.get("/v1/jobs", headers={header: "http://evil.example"[7 * (header == "Host") :]}), 421)


def test_with_a_token_everything_but_the_health_checks_is_closed(tmp_path: Path) -> None:
    with serving(tmp_path, Settings(token=SecretStr("secret"))) as service:
        for path in ("/v1/jobs", "/v1/schedules", "/metrics", "/version", "/openapi.json", "/nothing"):
            assert problem(service.http.get(path), 401)
        assert service.http.get("/healthz").status_code == 200
        assert service.http.get("/v1/jobs", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_a_wrong_token_is_told_from_none(tmp_path: Path) -> None:
    with serving(tmp_path, Settings(token=SecretStr("secret"))) as service:
        for token, sentence in (
            (None, "this service needs a token: set TILEWRIGHT_TOKEN"),
            ("wrong", "the token in TILEWRIGHT_TOKEN (or connect(token=...)) is not the one of this service"),
        ):
            with pytest.raises(Unauthorized) as caught:
                connect(service.url, token).job(1)
            assert str(caught.value) == sentence
        answer = service.http.get("/v1/jobs", headers={"Authorization": "Basic secret"})
        document = problem(answer, 401)
        assert document["type"] == "urn:tilewright:problem:unauthorized"
        assert "is not the one of this service" in document["detail"]


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        job = service.submit(height=40)
        _limit_pages(service, 1)
        answer = service.http.post("/v1/jobs", json={"network": "mobilenet_v2"})
        assert problem(answer, 507)["type"] == "urn:tilewright:problem:storage-full"
        assert service.job(job["id"])["state"] == "queued"
        _limit_pages(service, 2**30)
        assert service.http.post("/v1/jobs", json={"network": "mobilenet_v2"}).status_code == 201


@pytest.mark.parametrize(
    "path", ["/v1/schedules?host_class=%00", "/v1/records?workload_id=%00", "/v1/jobs?state=%00", "/v1/schedules/%00"]
)
def test_text_that_no_database_takes_is_refused_in_an_address(service: ServiceInThread, path: str) -> None:
    problem(service.http.get(path), 422)


def _limit_pages(service: ServiceInThread, pages: int) -> None:
    """Stands in for the disk: SQLite gives the same error when the file may not grow."""
    with service.database.writing() as session:
        session.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages}")
