"""Nobody on a machine measures on cores on which somebody else does, whoever runs them.

A core's lock is a file that every user can read and nobody writes: `flock` wants no more. Who holds it is asked of the
system. So whatever a stranger puts in its place, nothing is ever written into it, and nothing is truncated.
"""

import errno
import fcntl
import os
import pwd
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tilewright_tuning.cores import with_siblings

SETTING = "TILEWRIGHT_LOCKS_DIR"
SHARED_DIRECTORIES = (Path("/run/lock"), Path("/tmp"), Path("/dev/shm"))
"""Of the machine; the first in which every user may make files that only he can remove."""
OPENING = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
TRY_SECONDS = 0.3
"""Who only looks whether a lock is free holds it for a moment."""


class LocksRefused(Exception):
    """The directory or a file in it cannot be trusted or used; why, and what to do, is a sentence to a person."""


class CoresTaken(Exception):
    """By whom is a sentence to a person."""


class CoreLocks:
    """Of all cores that this process may use, and of those that share their units."""

    def __init__(self) -> None:
        self._cores = sorted(with_siblings(os.sched_getaffinity(0)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """In it nobody else has one of them. Raises CoresTaken, at once, and LocksRefused."""
        with ExitStack() as locks:
            directory = locks.enter_context(_open_directory())
            # All in one order: of two that want some of the same ones, one gets them.
            for core in self._cores:
                locks.enter_context(_locked(directory, core, fcntl.LOCK_EX))
            yield

    def holder(self) -> str | None:
        """Who else has one of them now; None when all are free. Raises LocksRefused."""
        with _open_directory() as directory:
            for core in self._cores:
                try:
                    with _locked(directory, core, fcntl.LOCK_SH):
                        pass
                except CoresTaken as taken:
                    return str(taken)
        return None


@contextmanager
def _open_directory() -> Iterator[int]:
    path = _directory()
    try:
        descriptor = os.open(path, OPENING | os.O_DIRECTORY)
    except OSError as error:
        raise LocksRefused(
            f"the directory of the core locks, {path}, cannot be opened ({error.strerror}); {SETTING} names another"
        ) from error
    try:
        _require_own_or_shared(path, os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _directory() -> Path:
    """The same for every user of the machine, unless it is set."""
    if name := os.environ.get(SETTING):
        path = Path(name)
        with suppress(OSError):  # shows when it is opened
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        return path
    return next((path for path in SHARED_DIRECTORIES if _is_shared(path)), SHARED_DIRECTORIES[0])


def _is_shared(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_mode & 0o1002 == 0o1002


def _require_own_or_shared(path: Path, status: os.stat_result) -> None:
    is_sticky = bool(status.st_mode & stat.S_ISVTX)
    if status.st_mode & 0o022 and not is_sticky:
        raise LocksRefused(f"others can replace files in {path}, the directory of the core locks; chmod go-w {path}")
    if status.st_uid not in (0, os.geteuid()) and path not in SHARED_DIRECTORIES:
        raise LocksRefused(
            f"{path}, the directory of the core locks, belongs to {_user(status.st_uid)}; {SETTING} names another"
        )


@contextmanager
def _locked(directory: int, core: int, kind: int) -> Iterator[None]:
    descriptor = _lock(directory, core, kind)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(directory: int, core: int, kind: int) -> int:
    deadline = time.monotonic() + (TRY_SECONDS if kind == fcntl.LOCK_EX else 0.0)
    while True:
        with ExitStack() as opened:
            descriptor = _open_lock(directory, core)
            opened.callback(os.close, descriptor)
            is_ours = _take(descriptor, core, kind)
            if is_ours and _is_still(directory, core, descriptor):
                opened.pop_all()
                return descriptor
            if not is_ours and time.monotonic() >= deadline:
                raise CoresTaken(f"core {core} is measured on by {_holder(descriptor)}")
        time.sleep(0.02)


def _take(descriptor: int, core: int, kind: int) -> bool:
    """False when somebody else has it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system that has no locks, or no more of them
        raise LocksRefused(
            f"the core lock {_name(core)} in {_directory()} cannot be locked ({error.strerror}); "
            f"{SETTING} names another directory"
        ) from error
    return True


def _open_lock(directory: int, core: int) -> int:
    try:
        descriptor = _open_or_make(directory, _name(core))
    except OSError as error:
        what = "is a link" if error.errno == errno.ELOOP else f"cannot be opened ({error.strerror})"
        raise LocksRefused(f"the core lock {_name(core)} in {_directory()} {what}; remove it") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise LocksRefused(f"the core lock {_name(core)} in {_directory()} is no file of its own; remove it")
    return descriptor


def _open_or_make(directory: int, name: str) -> int:
    while True:
        with suppress(FileNotFoundError):
            return os.open(name, OPENING, dir_fd=directory)
        with suppress(FileExistsError):  # another worker was faster
            descriptor = os.open(name, OPENING | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
            os.fchmod(descriptor, 0o644)
            return descriptor


def _is_still(directory: int, core: int, descriptor: int) -> bool:
    """Whether it is what others find there: somebody may have tidied up meanwhile."""
    try:
        found = os.stat(_name(core), dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def _name(core: int) -> str:
    return f"tilewright-core-{core}.lock"


def _holder(descriptor: int) -> str:
    """As far as the system tells: a process in another container is not seen."""
    inode = os.fstat(descriptor).st_ino
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and int(fields[5].rpartition(":")[2]) == inode:
                pid = int(fields[4])
                return f"process {pid} of {_user(os.stat(f'/proc/{pid}').st_uid)}"
    return "another process"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
