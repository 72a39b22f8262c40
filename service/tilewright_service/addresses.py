"""The socket that the service listens on, and the addresses under which it is reached."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

from tilewright.errors import CannotStart
from tilewright_service.settings import Settings

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Of this machine, where the service listens on all addresses."""

SOME_ADDRESS = ("192.0.2.1", 9)
"""Of a network that is kept for documentation; a way there is asked for, and nothing is sent."""


@contextmanager
def open_listener(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio turns Nagle's delay off only where it sees that the protocol is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            address = f"{settings.host}:{settings.port}"
            raise CannotStart(
                f"cannot listen on {address} ({error.strerror}); choose another --port, or 0 for a free one"
            ) from error
        yield listener


def urls(settings: Settings, listener: socket.socket) -> tuple[str, str | None]:
    """For this machine, and for others where it is another."""
    port = listener.getsockname()[1]
    if settings.host not in LOOPBACK:
        return _url(settings.host, port), settings.public_url
    return _url(LOOPBACK[settings.host], port), settings.public_url or _url(_machine_address(), port)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _machine_address() -> str:
    """Of the interface that leads to other machines; the name of this one where none does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(SOME_ADDRESS)
        except OSError:
            return socket.gethostname()
        address: str = probe.getsockname()[0]
        return address
