"""Files of lines that several processes write at once, and that a power cut may leave torn."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    start: int
    end: int
    """Where the next one begins."""
    content: bytes


class Lines:
    """Whoever appends does so with a whole line, which is on disk when the call returns."""

    def __init__(self, path: Path) -> None:
        is_new = not path.exists()
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if is_new:
            sync_folder(path.parent)

    def append(self, line: str) -> None:
        """What was torn before stays a line of its own, which readers pass over. Raises OSError."""
        with locked(self._descriptor):
            size = os.fstat(self._descriptor).st_size
            is_torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
            write_all(self._descriptor, b"\n" * is_torn + line.encode() + b"\n")
        os.fsync(self._descriptor)

    def read(self, start: int = 0) -> Iterator[Line]:
        """Whole lines from there on. Raises OSError."""
        with self._path.open("rb") as file:
            file.seek(start)
            for content in file:
                if not content.endswith(b"\n"):
                    return  # somebody writes it now, or never came to its end
                yield Line(start, start + len(content), content[:-1])
                start += len(content)

    @property
    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        os.close(self._descriptor)


def write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class FileLock:
    """Held until it is closed, or its process ends."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def take(self, waits: bool) -> bool:
        """Whether it is ours now."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._descriptor)


@contextmanager
def file_lock(path: Path, waits: bool = True) -> Iterator[bool]:
    """Whether nobody else is in there meanwhile; if we do not wait, somebody may be."""
    lock = FileLock(path)
    try:
        yield lock.take(waits)
    finally:
        lock.close()


def replace_file(path: Path, content: str) -> None:
    """Whole, or as it was, whatever happens; on disk when the call returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
