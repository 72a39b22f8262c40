"""A PostgreSQL server that is reached over TCP, so that links can stand before it, and that can be treated badly."""

import socket
from types import TracebackType
from typing import Self

from ..postgresql import PostgresServer
from .faults import Faults


class Postgres(Faults, PostgresServer):
    role = "database"

    def __init__(self, port: int) -> None:
        self.port = port
        PostgresServer.__init__(self, port)

    def url(self, name: str = "postgres", port: int | None = None) -> str:
        """Through another port, where a link stands before it."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{port or self.port}/{name}"

    def kill(self) -> None:
        """All of it at once, as a power cut does."""
        self.kill_all()
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thaw()
        self.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
