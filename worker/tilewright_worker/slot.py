"""Where an attempt runs on a worker: exclusive cores, and one child process that may crash, hang or be killed.

The process that calls `run` only waits. It holds no lock of Python meanwhile, so it can answer its engine.
"""

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptEnd, AttemptKey

REASON_BYTES = 4096
BUSY_SECONDS = 20.0
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
PR_SET_PDEATHSIG = 1

_children: dict[AttemptKey, subprocess.Popen[bytes]] = {}
_standby: "Standby | None" = None
_may_stand_by = True
_libc = ctypes.CDLL(None)


def run(order_json: str, module: str = "tilewright_worker", logs_dir: str = "tuning_logs") -> str:
    """Run one attempt to its end. Takes a `LaunchOrder` and gives an `AttemptEnd`, both as JSON."""
    order = LaunchOrder.model_validate_json(order_json)
    return _run(order, module, logs_dir).model_dump_json()


def kill(job_id: int, attempt: int) -> bool:
    """Kill the attempt and everything that it started; False when it does not run here."""
    child = _children.get(AttemptKey(job_id=job_id, attempt=attempt))
    if child is None:
        return False
    _kill_group(child)
    return True


def measuring_cores(threads: int) -> list[int]:
    """The cores that a job for so many threads measures on: always the same ones, as the attempt takes them, too."""
    return sorted(os.sched_getaffinity(0))[:threads]


def stand_by(module: str = "tilewright_worker", logs_dir: str = "tuning_logs") -> None:
    """Start the process of the next attempt: it imports what it needs, and waits for its order.

    It holds no core, keeps off those on which somebody measures, and ends with this process. Call it from a thread that
    lives as long as the worker.
    """
    global _standby
    if _may_stand_by and (_standby is None or not _standby.is_ready_for(module, logs_dir)):
        _stop_standby()
        _standby = Standby(module, logs_dir, _start_child(module, logs_dir, _quiet_cores()))


def end_standby() -> None:
    """Kill what stands by, with everything that it started; this process is about to end."""
    global _may_stand_by
    _may_stand_by = False
    _stop_standby()


@dataclass(frozen=True)
class Standby:
    """A child without an order."""

    module: str
    logs_dir: str
    child: subprocess.Popen[bytes]

    def is_ready_for(self, module: str, logs_dir: str) -> bool:
        return (module, logs_dir) == (self.module, self.logs_dir) and self.child.poll() is None


def _run(order: LaunchOrder, module: str, logs_dir: str) -> AttemptEnd:
    cores = measuring_cores(order.threads)
    if len(cores) < order.threads:
        return AttemptEnd(exit_code=None, reason=f"{order.threads} cores are asked for; this worker has {len(cores)}")
    try:
        with _exclusive(cores):
            end = _run_child(order, _take_child(module, logs_dir))
    except TimeoutError as error:
        return AttemptEnd(exit_code=None, reason=str(error), is_busy=True)
    with suppress(OSError):  # no memory for it: the next attempt then starts later
        stand_by(module, logs_dir)
    return end


def _take_child(module: str, logs_dir: str) -> subprocess.Popen[bytes]:
    """The child that stands by, or a new one."""
    global _standby
    standby, _standby = _standby, None
    cores = os.sched_getaffinity(0)
    if standby is not None and standby.is_ready_for(module, logs_dir):
        with suppress(ProcessLookupError):  # it has just died, which shows when it is waited for
            os.sched_setaffinity(standby.child.pid, cores)
        return standby.child
    _standby = standby
    _stop_standby()
    return _start_child(module, logs_dir, cores)


def _stop_standby() -> None:
    global _standby
    if _standby is not None:
        _kill_group(_standby.child)
        _standby.child.wait()
        _close_pipes(_standby.child)
        _standby = None


@contextmanager
def _exclusive(cores: list[int]) -> Iterator[None]:
    """Nobody else on this machine measures on these cores meanwhile."""
    deadline = time.monotonic() + BUSY_SECONDS
    with ExitStack() as locks:
        for core in cores:
            lock = locks.enter_context(open(_locks_dir() / f"core-{core}", "w"))
            while not _try_lock(lock.fileno()):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"core {core} is being measured on by another process")
                time.sleep(0.2)
        yield


def _quiet_cores() -> set[int]:
    """Those on which nobody measures now, or all where somebody does on each."""
    cores = os.sched_getaffinity(0)
    return {core for core in cores if _is_free(core)} or cores


def _is_free(core: int) -> bool:
    with open(_locks_dir() / f"core-{core}", "w") as lock:
        return _try_lock(lock.fileno())


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locks_dir() -> Path:
    name = os.environ.get("TILEWRIGHT_LOCKS_DIR") or f"{tempfile.gettempdir()}/tilewright-cores-{os.getuid()}"
    path = Path(name)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _environment(logs_dir: str) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed_on, "TILEWRIGHT_LOGS_DIR": logs_dir}


def _start_child(module: str, logs_dir: str, cores: Collection[int]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=_environment(logs_dir),
        start_new_session=True,
        preexec_fn=partial(_begin_child, frozenset(cores)),
    )


def _run_child(order: LaunchOrder, child: subprocess.Popen[bytes]) -> AttemptEnd:
    key = AttemptKey(job_id=order.job_id, attempt=order.attempt)
    _children[key] = child
    try:
        _hand_over(child, order)
        stderr_tail = _wait(child)
    finally:
        _kill_group(child)
        exit_code = child.wait()
        del _children[key]
        _close_pipes(child)
    return AttemptEnd(exit_code=exit_code, reason=_reason(exit_code, stderr_tail))


def _begin_child(cores: Collection[int]) -> None:
    """Runs in the child. The parent is the thread that waits for it, so the two share their fate."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.sched_setaffinity(0, cores)


def _hand_over(child: subprocess.Popen[bytes], order: LaunchOrder) -> None:
    """The order goes over standard input, which stays open: its end tells the child that this process is gone."""
    assert child.stdin is not None
    # When it died at once, its exit code and standard error tell more.
    with suppress(BrokenPipeError):
        child.stdin.write(order.model_dump_json().encode() + b"\n")
        child.stdin.flush()


def _wait(child: subprocess.Popen[bytes]) -> bytes:
    """Wait for the child itself, not for what it started; the last of its standard error is the answer."""
    assert child.stderr is not None
    descriptor = child.stderr.fileno()
    os.set_blocking(descriptor, False)
    pidfd = os.pidfd_open(child.pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(descriptor, select.POLLIN)
    stderr_tail = b""
    try:
        while True:
            ready = {ready_descriptor for ready_descriptor, _ in poll.poll()}
            chunk = _read(descriptor)
            stderr_tail = (stderr_tail + (chunk or b""))[-REASON_BYTES:]
            if pidfd in ready and not chunk:
                return stderr_tail
            if chunk == b"":
                poll.unregister(descriptor)
                descriptor = -1
    finally:
        os.close(pidfd)


def _read(descriptor: int) -> bytes | None:
    """What is there; nothing at the end of the stream; None when there is nothing yet."""
    if descriptor < 0:
        return None
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return None


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """The child leads a session of its own; what it started goes with it, even after it has ended."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _close_pipes(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _reason(exit_code: int, stderr_tail: bytes) -> str | None:
    if exit_code == 0:
        return None
    how = f"killed by signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    text = stderr_tail.decode(errors="replace").strip()
    return f"the attempt ended with {how}: {text}" if text else f"the attempt ended with {how}"
