"""The data directory: writable, of one service at a time, and its files private."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tilewright.errors import CannotStart
from tilewright_service.store.backends.sqlite_copy import put_in_place


@contextmanager
def hold_data_dir(path: Path) -> Iterator[str]:
    """Hold the directory; gives the id of the service that lives in it, the same after every restart."""
    os.umask(0o077)
    try:
        # Private when it is made here; a directory that was there may be shared, and its mode is its owner's business.
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open(path / "lock", "a")  # noqa: SIM115
    except OSError as error:
        raise CannotStart(
            f"the data directory {path} cannot be written ({error.strerror}); choose another --data-dir"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"another service uses the data directory {path}; stop it or choose another --data-dir"
            ) from error
        yield _server_id(path / "server_id")


def _server_id(path: Path) -> str:
    """Whole, or not there: a file that a power cut left empty would be no identity."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.write_text(uuid.uuid4().hex)
        put_in_place(partial, path)
    return path.read_text()
