"""The network that is played does what networks do."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from .link import DEAF, FINE, MUTE, REFUSING, SILENT, Link, Weather


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline():
            self.server.heard.append(line)  # type: ignore[attr-defined]
            self.wfile.write(line)


@pytest.fixture
def echo() -> Iterator[socketserver.ThreadingTCPServer]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        server.heard = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def link(echo: socketserver.ThreadingTCPServer) -> Iterator[Link]:
    with Link(("127.0.0.1", echo.server_address[1])) as link:
        yield link


def connect(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=0.5)


def say(connection: socket.socket, text: bytes = b"hello\n") -> bytes:
    connection.sendall(text)
    return connection.recv(100)


def is_lost(connection: socket.socket) -> bool:
    try:
        return say(connection) == b""
    except ConnectionError:
        return True


def test_a_fine_link_passes_everything_on(link: Link) -> None:
    with connect(link) as connection:
        assert say(connection) == b"hello\n"


@pytest.mark.parametrize("weather", [SILENT, DEAF, MUTE])
def test_a_silent_link_holds_back_what_is_said_until_it_is_fine(link: Link, weather: Weather) -> None:
    with connect(link) as connection:
        assert say(connection) == b"hello\n"
        link.set(weather)
        with pytest.raises(TimeoutError):
            say(connection, b"again\n")
        link.set(FINE)
        assert connection.recv(100) == b"again\n"


def test_what_is_asked_over_a_mute_link_is_heard(link: Link, echo: socketserver.ThreadingTCPServer) -> None:
    with connect(link) as connection:
        link.set(MUTE)
        with pytest.raises(TimeoutError):
            say(connection)
        assert echo.heard == [b"hello\n"]  # type: ignore[attr-defined]


def test_a_slow_link_takes_its_time_both_ways(link: Link) -> None:
    with connect(link) as connection:
        link.set(Weather(delay_seconds=0.1))
        began = time.monotonic()
        assert say(connection) == b"hello\n"
        assert time.monotonic() - began >= 0.2


def test_a_cut_resets_what_there_is_and_lets_new_ones_through(link: Link) -> None:
    with connect(link) as connection:
        assert say(connection) == b"hello\n"
        link.cut()
        assert is_lost(connection)
    with connect(link) as connection:
        assert say(connection) == b"hello\n"


def test_a_refusing_link_answers_nobody(link: Link) -> None:
    link.set(REFUSING)
    with connect(link) as connection:
        assert is_lost(connection)
