"""The process of one attempt, in a session of its own: it may crash, hang or be killed, with all that it started."""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptEnd
from tilewright_worker import exit_codes

REASON_BYTES = 4096
PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),  # whom to believe that he is the service
)


class Child:
    """Ends with the thread that makes it. Without an order it stands by: it imports what it needs, and waits."""

    def __init__(self, module: str, logs_dir: str) -> None:
        """Raises OSError when the host has no memory, no processes or no descriptors left."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tilewright_worker.child_main", str(os.getpid()), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(logs_dir),
            start_new_session=True,
        )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def carry_out(self, order: LaunchOrder) -> AttemptEnd:
        """Hand it the order, and wait for its end."""
        try:
            self._hand_over(order)
            stderr_tail = self._wait()
        finally:
            self.end()
        exit_code = self._process.returncode
        return AttemptEnd(
            exit_code=exit_code,
            reason=_reason(exit_code, stderr_tail),
            is_of_moment=exit_code == exit_codes.OF_MOMENT,
            is_of_host=exit_code == exit_codes.OF_HOST,
        )

    def tell_to_leave(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """And everything that it started, even after it has ended itself."""
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """The same, and wait until it is gone."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _hand_over(self, order: LaunchOrder) -> None:
        """The order goes over standard input, which stays open: its end tells the child that this process is gone."""
        assert self._process.stdin is not None
        # When it died at once, its exit code and standard error tell more.
        with suppress(BrokenPipeError):
            self._process.stdin.write(order.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()

    def _wait(self) -> bytes:
        """Wait for the child itself, not for what it started; the last of its standard error is the answer."""
        assert self._process.stderr is not None
        descriptor = self._process.stderr.fileno()
        os.set_blocking(descriptor, False)
        pidfd = os.pidfd_open(self._process.pid)
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


def _environment(logs_dir: str) -> dict[str, str]:
    """Nothing that it has no need of: no token and no address of a database."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed_on, "TILEWRIGHT_LOGS_DIR": logs_dir}


def _read(descriptor: int) -> bytes | None:
    """What is there; nothing at the end of the stream; None when there is nothing yet."""
    if descriptor < 0:
        return None
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return None


def _reason(exit_code: int, stderr_tail: bytes) -> str | None:
    if exit_code == 0:
        return None
    how = f"killed by signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    text = stderr_tail.decode(errors="replace").strip()
    return f"the attempt ended with {how}: {text}" if text else f"the attempt ended with {how}"
