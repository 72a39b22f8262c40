"""Pages for browsers: what they say, that they need nothing from elsewhere, and that their commands work."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import SecretStr

from tilewright import __version__
from tilewright.contract.attempts import Finished
from tilewright_service.settings import Settings
from tilewright_service.store.waiting import Capacity

from .in_thread import ServiceInThread, serving
from .stand_in import START, invented_publication

VOID = ("meta", "link")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")


class Page(HTMLParser):
    """What is in a page; an error where an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: list[str] = []
        """Text of `pre`."""
        self.text = ""
        self.style = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open += [] if tag in VOID else [tag]
        self.blocks += [""] if tag == "pre" else []

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        match self._open[-1:]:
            case ["style"]:
                self.style += data
            case ["pre"]:
                self.blocks[-1] += data
        self.text += data

    def values(self, *names: str) -> list[str]:
        return [
            value for _, attributes in self.elements for name, value in attributes.items() if name in names and value
        ]

    def commands(self, program: str) -> list[str]:
        return [line for block in self.blocks for line in block.splitlines() if line.startswith(program)]


def page_of(service: ServiceInThread, path: str, **headers: str) -> Page:
    return Page(service.http.get(path, headers=headers).raise_for_status().text)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[ServiceInThread]:
    with serving(tmp_path, Settings(token=SecretStr("secret"))) as service:
        yield service


def shell(command: str, folder: Path, **variables: str) -> str:
    """What it prints; fails where the command does, and where curl gets no 2xx."""
    (folder / ".curlrc").write_text("fail\nsilent\nshow-error\nmax-time = 20\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(folder), "CURL_HOME": str(folder), **variables}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def test_the_front_page_says_version_state_and_where_to_go(service: ServiceInThread) -> None:
    service.submit()
    page = page_of(service, "/")
    assert f"Tilewright {__version__}" in page.text
    assert re.search(r"state\s+ready\s+workers\s+1\s+jobs\s+1 queued, 0 running, 0 finished, 0 failed", page.text)
    assert "docs" in page.values("href")


def test_its_commands_work_with_the_address_that_was_typed(service: ServiceInThread, tmp_path: Path) -> None:
    address = service.url.replace("127.0.0.1", "localhost")
    page = page_of(service, "/", Host=address.removeprefix("http://"))
    (export,) = page.commands("export")
    assert export == f"export TILEWRIGHT_URL={address}"
    commands = page.commands("tilewright")
    assert len(commands) == 4
    for command in commands:  # nothing is tuned here, so nobody may wait for it
        shell(f"{export}\n{command.replace('--wait', '')}", tmp_path)
    assert service.job(1)["network"] == "resnet18"


def test_an_engine_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with serving(tmp_path, capacity=Capacity(away="the scheduler is away")) as service:
        assert re.search(r"state\s+ready\s+workers\s+the engine does not answer\s+jobs", page_of(service, "/").text)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_whether_a_page_is_there_can_be_asked_without_its_text(service: ServiceInThread, path: str) -> None:
    answer = service.http.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_database_that_does_not_answer_is_said(service: ServiceInThread) -> None:
    with service.database.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE jobs RENAME TO elsewhere")
    page = page_of(service, "/")
    assert "not ready: the database does not answer" in page.text
    assert "queued" not in page.text.partition("From a shell")[0]


def test_without_the_token_the_front_page_says_only_that_the_service_is_there(closed: ServiceInThread) -> None:
    page = page_of(closed, "/")
    assert re.search(r"state\s+ready\s+Everything else here needs the token", page.text)
    assert [path for path in page.values("href") if not path.startswith("data:")] == []
    assert closed.http.get("/docs").status_code == 401
    assert page_of(closed, "/docs", Authorization="Bearer secret")


@needs_curl
def test_with_the_token_its_command_gets_the_reference_whose_commands_work(
    closed: ServiceInThread, tmp_path: Path
) -> None:
    token = {"TILEWRIGHT_TOKEN": "secret", "TILEWRIGHT_URL": closed.url}
    (command,) = page_of(closed, "/").commands("curl")
    reference = Page(shell(command.partition(">")[0], tmp_path, **token))
    assert "export TILEWRIGHT_TOKEN=..." in reference.commands("export")
    shell(reference.commands("curl")[0], tmp_path, **token)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_uses_what_its_policy_allows_and_nothing_from_elsewhere(service: ServiceInThread, path: str) -> None:
    answer = service.http.get(path)
    page = Page(answer.text)
    policy = answer.headers["Content-Security-Policy"].split("; ")
    digest = b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert {"default-src 'none'", f"style-src 'sha256-{digest}'", "frame-ancestors 'none'"} <= set(policy)
    assert {tag for tag, _ in page.elements} & {"script", "img", "iframe", "form", "object"} == set()
    assert page.values("style", "onclick", "onload", "src") == []
    assert [link for link in page.values("href") if not re.match(r"#|data:image|[a-z.]+$", link)] == []


@pytest.mark.parametrize("host", ["x<script>", "a;reboot", "$(reboot)", ""])
def test_only_a_plain_address_gets_into_commands(closed: ServiceInThread, host: str) -> None:
    answer = closed.http.get("/", headers={"Host": host})
    assert "reboot" not in answer.text
    assert "<script" not in answer.text
    assert "export TILEWRIGHT_URL=http://HOST:PORT" in answer.text


def test_the_reference_has_every_operation_and_schema_and_no_dead_link(service: ServiceInThread) -> None:
    document = service.http.get("/openapi.json").json()
    page = page_of(service, "/docs")
    anchors = page.values("id")
    assert len(anchors) == len(set(anchors))
    assert {link[1:] for link in page.values("href") if link[0] == "#"} <= set(anchors)
    assert set(document["components"]["schemas"]) <= set(anchors)
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}\n" in page.text


def test_the_reference_says_what_a_field_takes_and_means(service: ServiceInThread) -> None:
    _, _, request = page_of(service, "/docs").text.partition("JobRequest\nEither workloads or network")
    assert re.search(r"\bthreads\s+integer, 1 to 256; 1 if left out\n", request)
    assert re.search(r"\bbatch\s+integer, 1 to 4096 or null\s*Batch size of a network;", request)
    assert re.search(r"\bworkloads\s+array of 1 to 1000 Workload or null\n", request)


@needs_curl
def test_every_command_of_the_reference_works(service: ServiceInThread, tmp_path: Path) -> None:
    job = service.submit()
    attempt = service.begin_attempt(START)
    attempt.publish(invented_publication(job["id"], 1, job["workloads"][0]["workload_id"]))
    attempt.report_result(Finished())
    page = page_of(service, "/docs")
    (export,) = page.commands("export")
    commands = page.commands("curl")
    assert len(commands) == 17
    for command in commands:
        assert shell(f"{export}\n{command}", tmp_path)


def test_a_wrong_method_is_told_the_right_one(service: ServiceInThread) -> None:
    assert set(service.http.post("/").headers["allow"].split(", ")) == {"GET", "HEAD"}
