"""A real Dask scheduler, and workers that join it."""

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..terminal import TILEWRIGHT


@contextmanager
def running_scheduler(
    protocol: str = "tcp", environment: Mapping[str, str] | None = None, port: int = 0
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Its address, and its process."""
    dask = str(TILEWRIGHT.with_name("dask"))
    command = [dask, "scheduler", "--no-dashboard", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--protocol", protocol], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        try:
            yield next(line for line in process.stderr if "Scheduler at:" in line).split()[-1], process
        finally:
            process.kill()


@contextmanager
def running_worker(url: str, environment: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Returns when it has joined."""
    command = [str(TILEWRIGHT), "worker", "--engine", url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as worker:
        assert worker.stdout is not None
        try:
            assert "works for" in worker.stdout.readline()
            yield worker
        finally:
            worker.kill()
            worker.send_signal(signal.SIGCONT)
