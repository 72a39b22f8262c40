"""HTTP with the errors of this project: one request, its repetitions, and what its answer means."""

import ipaddress
import json
import random
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from tilewright.errors import (
    PROBLEM_MEDIA_TYPE,
    PROBLEM_PREFIX,
    InvalidRequest,
    RequestTimeout,
    ServerUnreachable,
    TilewrightError,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    from_problem,
)
from tilewright.unreachable import unreachable

TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
STREAM_SILENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
MOST_PORT = 65535

SAID_BY_EVERYBODY = (
    Unauthorized.status,
    RequestTimeout.status,
    TooLarge.status,
    TooManyRequests.status,
    TilewrightError.status,
    Unavailable.status,
)
"""A proxy before the service says these in its own words; any other status without ours is somebody else's."""

Params = Mapping[str, str | int | None]
Model = TypeVar("Model", bound=BaseModel)


class Transport:
    """Talks to one service. Requests that may be repeated are, for `patience_seconds`, while the service is away."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        patience_seconds: float = 0.0,
        transport: httpx2.BaseTransport | None = None,
        timeout: httpx2.Timeout = TIMEOUT,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.url = _check_url(url)
        _check_token(token)
        self.patience_seconds = patience_seconds
        self._http = httpx2.Client(
            base_url=self.url,
            headers={**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})},
            timeout=timeout,
            trust_env=not _is_loopback(self.url),
            transport=transport,
        )
        self._close = weakref.finalize(self, self._http.close)
        """Also when nobody closes it, so that its sockets do not end in a ResourceWarning."""

    def close(self) -> None:
        self._close()

    def get(self, path: str, answer: type[Model], params: Params | None = None) -> Model:
        return self.parse(self.request("GET", path, params=params).content, answer)

    def post(
        self,
        path: str,
        body: BaseModel | None,
        answer: type[Model],
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Model:
        return self.parse(self.request("POST", path, body, headers=headers, repeatable=repeatable).content, answer)

    def request(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> httpx2.Response:
        """The answer, if it is a 2xx; what the service complains about is raised."""
        request = self._http.build_request(
            method,
            path,
            content=None if body is None else body.model_dump_json(),
            params={name: value for name, value in (params or {}).items() if value is not None} or None,
            headers={**({} if body is None else {"Content-Type": "application/json"}), **(headers or {})},
        )
        deadline = time.monotonic() + self.patience_seconds
        for pause in pauses():
            try:
                return self._send(request)
            except (ServerUnreachable, Unavailable) as error:
                wait = patient_pause(pause, error)
                if not (repeatable or _changed_nothing(error)) or time.monotonic() + wait > deadline:
                    raise
            time.sleep(wait)
        raise AssertionError("unreachable: pauses never end")

    def look(self, path: str, status: int, answer: type[Model]) -> Model:
        """What is there, asked for once; a problem of this status has it, too."""
        try:
            response = self._http.get(path)
        except httpx2.TransportError as error:
            raise unreachable(self.url, error) from error
        is_told = response.headers.get("content-type", "").startswith(PROBLEM_MEDIA_TYPE)
        if response.is_success or (response.status_code == status and is_told):
            return self.parse(response.content, answer)
        raise _error_of(response)

    @contextmanager
    def events(self, path: str, last_event_id: int | None = None) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
        """One connection to a stream of server-sent events."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        timeout = httpx2.Timeout(STREAM_SILENCE_SECONDS, connect=5.0)
        try:
            with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise _error_of(response)
                yield iter(httpx2.EventSource(response))
        except httpx2.SSEError as error:
            raise UnexpectedAnswer(f"{self.url}{path} answers, but not with events: {error}") from error
        except httpx2.TransportError as error:
            raise unreachable(self.url, error) from error

    def parse(self, content: str | bytes, answer: type[Model]) -> Model:
        """Keys that this client does not know yet are passed over: the service may be newer."""
        return self.read(content, lambda text: answer.model_validate_json(text, extra="ignore"), answer)

    def read(self, content: str | bytes, parse: Callable[[str | bytes], Model], kind: type[BaseModel]) -> Model:
        """What `parse` makes of it, which has to be of this kind. Raises UnexpectedAnswer where that is not valid."""
        try:
            return parse(content)
        except ValidationError as error:
            problem = InvalidRequest.from_validation(error, kind).detail
            raise UnexpectedAnswer(f"{self.url} did not answer as a Tilewright service does: {problem}") from error

    def _send(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = self._http.send(request)
        except httpx2.TransportError as error:
            raise unreachable(self.url, error) from error
        if not response.is_success:
            raise _error_of(response)
        return response


def pauses() -> Iterator[float]:
    """Seconds to wait between repetitions: growing, and never in step with others."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause * random.uniform(0.75, 1.25)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def patient_pause(pause: float, error: TilewrightError) -> float:
    """At least what the service asks for, and never in step with others."""
    if not isinstance(error, Unavailable) or error.retry_after_seconds is None:
        return pause
    return max(pause, error.retry_after_seconds * random.uniform(1.0, 1.25))


def _error_of(response: httpx2.Response) -> TilewrightError:
    if response.is_redirect:
        return UnexpectedAnswer(f"{response.url} points to {response.headers.get('location')}; use that address")
    try:
        document = json.loads(response.content)
    except ValueError:
        document = None
    document = document if isinstance(document, dict) else {}
    status = Unavailable.status if response.status_code in (502, 504) else response.status_code
    if status in SAID_BY_EVERYBODY or str(document.get("type")).startswith(PROBLEM_PREFIX):
        return _with_retry_after(from_problem(status, document), response)
    answer = f"{response.status_code} {response.reason_phrase}"
    return UnexpectedAnswer(f"{response.url} answers, but not as a Tilewright service does: {answer}")


def _with_retry_after(error: TilewrightError, response: httpx2.Response) -> TilewrightError:
    """A proxy may give a date instead of seconds; then our own pauses have to do."""
    said = response.headers.get("retry-after", "")
    return error.after(float(said)) if isinstance(error, Unavailable) and said.isdecimal() else error


def _changed_nothing(error: TilewrightError) -> bool:
    """A refused connection, or a refused request, is safe to repeat, whatever it was."""
    return isinstance(error, TooManyRequests) or isinstance(
        error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout
    )


def _check_url(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError) as error:
        raise InvalidRequest(f"{url!r} is not an address, such as http://127.0.0.1:8000") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        hint = f"; did you mean http://{url}?" if url and "//" not in url else ""
        raise InvalidRequest(
            f"{url!r} is not an address: it has to begin with http:// or https:// and name a host{hint}"
        )
    if parsed.port is not None and parsed.port > MOST_PORT:
        raise InvalidRequest(f"{url!r} is not an address: ports end with {MOST_PORT}")
    return str(url).rstrip("/")


def _check_token(token: str | None) -> None:
    if token is not None and not isinstance(token, str):
        raise InvalidRequest(f"a token is text, not a value of the type {type(token).__name__}")
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
        raise InvalidRequest("TILEWRIGHT_TOKEN holds a character that no token has, such as a line break")


def _is_loopback(url: str) -> bool:
    """Proxies of the environment are for other machines."""
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
