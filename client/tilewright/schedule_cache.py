"""Schedules as a service last served them, on disk: what `Hub.load` takes when nobody answers.

The files are data, and are read as strictly as an answer of the service. They are in $TILEWRIGHT_CACHE_DIR, else in
$XDG_CACHE_HOME/tilewright, else in ~/.cache/tilewright. What is not ours, or not as this version writes it, is passed
over and replaced; a cache that cannot be read or written is an empty one.
"""

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tilewright.contract.message import Message, Sha256
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload

MOST_BYTES = 2**24
"""No schedule is as large."""

UNUSABLE = (OSError, ValueError, RuntimeError)
"""What a foreign folder, a broken file, or a user without a home raises."""


class Served(Message):
    """One file: the schedule that was the answer to a question, and when."""

    version: Literal[1] = 1
    question: Sha256
    served_at: datetime
    schedule: Schedule


class ScheduleCache:
    """What one service served, by workload, target and host class."""

    def __init__(self, service_url: str, folder: Path | None = None) -> None:
        self._service_url = service_url
        self._folder = folder

    def remember(self, workload: Workload, target: Target, host_class: str, schedule: Schedule | None) -> None:
        """Keep the answer of the service, also that there is no schedule."""
        question = self._question(workload, target, host_class)
        with suppress(*UNUSABLE), self._opened(create=schedule is not None) as folder:
            if schedule is None:
                os.unlink(_file_of(question), dir_fd=folder)
            else:
                served = Served(question=question, served_at=datetime.now(UTC), schedule=schedule)
                _replace(folder, _file_of(question), served.model_dump_json().encode())

    def recall(self, workload: Workload, target: Target, host_class: str) -> Served | None:
        """The last answer, unless it was that there is no schedule."""
        question = self._question(workload, target, host_class)
        with suppress(*UNUSABLE), self._opened() as folder:
            served = Served.model_validate_json(_read(folder, _file_of(question)))
            answer = served.schedule
            if (served.question, answer.workload, answer.target) == (question, workload, target):
                return served
        return None

    def _question(self, workload: Workload, target: Target, host_class: str) -> str:
        asked = [self._service_url, workload.id, target.isa, target.threads, host_class]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    @contextmanager
    def _opened(self, create: bool = False) -> Iterator[int]:
        path = self._folder or cache_folder()
        if create:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _check_ours(folder)
            yield folder
        finally:
            os.close(folder)


def cache_folder() -> Path:
    """Raises RuntimeError for a user without a home."""
    if chosen := os.environ.get("TILEWRIGHT_CACHE_DIR"):
        return Path(chosen).expanduser()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "tilewright"


def _file_of(question: str) -> str:
    return f"{question}.json"


def _read(folder: int, name: str) -> bytes:
    # A named pipe in the place of the file would block whoever opens it to read.
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), "rb") as file:
        _check_ours(file.fileno())
        return file.read(MOST_BYTES)


def _replace(folder: int, name: str, content: bytes) -> None:
    """Readers see the old file or the new one."""
    new = f"{name}.{secrets.token_hex(8)}"
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder), "wb") as file:
            file.write(content)
        os.replace(new, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(new, dir_fd=folder)
        raise


def _check_ours(descriptor: int) -> None:
    """Nobody else can have written it."""
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError("this is not only ours to write")
