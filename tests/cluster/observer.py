"""A person in front of the cluster, who notes what the services have acknowledged, and how jobs looked when."""

import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

from .observations import Notebook
from .patience import TooLate

FINAL = ("finished", "failed", "cancelled")
POLL_SECONDS = 0.1


class Away(OSError):
    """No service has answered properly; the same request may be made again."""


class Observer:
    """Asks whichever of the services answers. Looks at all jobs ten times a second, in a thread of its own."""

    def __init__(self, notes: Path, urls: Sequence[str], token: str | None = None) -> None:
        self._notebook = Notebook(notes / "observer.jsonl")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(timeout=httpx2.Timeout(10, connect=2), headers=headers, trust_env=False)
        self._urls = list(urls)
        self._states: dict[int, tuple[str, str | None]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="observer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(30)
        self._http.close()
        self._notebook.close()

    def ask(self, method: str, path: str, service: int | None = None, **options: Any) -> httpx2.Response:
        """Of one service, or of the first that answers. Raises Away."""
        urls = self._urls if service is None else [self._urls[service]]
        problem = "nobody was asked"
        for url in urls:
            try:
                answer = self._http.request(method, url + path, **options)
            except httpx2.TransportError as error:
                problem = f"{url}: {error!r}"
                continue
            if answer.status_code < 500 and answer.status_code != 429:
                return answer
            problem = f"{url}: {answer.status_code} {answer.text[:200]}"
        raise Away(problem)

    def get(self, path: str, service: int | None = None) -> Any:
        return self.ask("GET", path, service).raise_for_status().json()

    def submit(
        self,
        heights: Sequence[int],
        trials: int = 20,
        user: str = "ada",
        service: int | None = None,
        seconds: float = 30.0,
        **options: Any,
    ) -> int:
        """The id of the job, once it is acknowledged: the request is repeated until then, under one key."""
        key = str(uuid.uuid4())
        body = {"workloads": [workload(height) for height in heights], "trials": trials, **options}
        answer = self._insist(
            seconds, "POST", "/v1/jobs", service, json=body, headers={"Idempotency-Key": key, "Tilewright-User": user}
        )
        job_id: int = answer.raise_for_status().json()["id"]
        self._notebook.note("submitted", job=job_id, key=key)
        return job_id

    def cancel(self, job_id: int, user: str = "ada", seconds: float = 30.0) -> None:
        self._insist(seconds, "POST", f"/v1/jobs/{job_id}/cancel", None, headers={"Tilewright-User": user})
        self._notebook.note("cancel", job=job_id)

    def job(self, job_id: int) -> dict[str, Any]:
        job: dict[str, Any] = self.get(f"/v1/jobs/{job_id}")
        return job

    def state(self, job_id: int) -> str:
        """As it was seen last."""
        return self._states.get(job_id, ("unknown", None))[0]

    def workers(self) -> dict[str, dict[str, Any]]:
        """By host name."""
        return {each["hostname"]: each for each in self.get("/v1/workers")["items"]}

    def wait(self, *jobs: int, seconds: float = 120.0, states: Sequence[str] = FINAL) -> float:
        """How long it took until all of them were in one of these states."""
        began = time.monotonic()
        while not all(self.state(job) in states for job in jobs):
            if time.monotonic() - began > seconds:
                left = {job: self._states.get(job) for job in jobs if self.state(job) not in states}
                raise TooLate(f"after {seconds:.0f} s still not {' or '.join(states)}: {left}")
            time.sleep(0.02)
        return time.monotonic() - began

    def _insist(self, seconds: float, method: str, path: str, service: int | None, **options: Any) -> httpx2.Response:
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.ask(method, path, service, **options)
            except Away:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _look(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            try:
                path: str | None = "/v1/jobs?limit=200"
                while path:
                    page = self.ask("GET", path).json()
                    for job in page["items"]:
                        self._note(job)
                    path = page["next"]
            except (Away, ValueError, KeyError):
                continue

    def _note(self, job: dict[str, Any]) -> None:
        look = job["state"], job["reason"]
        if self._states.get(job["id"]) != look:
            self._notebook.note("state", job=job["id"], state=job["state"], reason=job["reason"])
            self._states[job["id"]] = look


def workload(height: int) -> dict[str, Any]:
    """One of its own for each height."""
    return {"batch": 1, "in_channels": 8, "height": height, "width": 8, "out_channels": 8, "kernel_size": [1, 1]}
