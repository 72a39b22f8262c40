"""The file of a SQLite database: of one service, whatever its data directory is, and on a disk of this machine."""

import fcntl
import os
from pathlib import Path

from tilewright.errors import CannotStart
from tilewright_service.store.backends.mounts import network_file_system


class HeldFile:
    """Raises CannotStart where another holds it; made where it is not there. Close it after every connection:
    the system drops the locks of SQLite with the first descriptor of a file that a process closes."""

    def __init__(self, path: Path) -> None:
        _refuse_network(path)
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotStart(f"the database {path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise CannotStart(
                f"another service uses the database {path}; stop it, or give this one another database"
            ) from error

    def close(self) -> None:
        os.close(self._descriptor)


def _refuse_network(path: Path) -> None:
    kind = network_file_system(path)
    if kind is not None:
        raise CannotStart(
            f"the database {path} is on a network file system ({kind}), where SQLite loses data: "
            "choose a --data-dir on a disk of this machine, or --database postgresql://..."
        )
