"""Whether this host is fit for an attempt, and finds the way to the service: looked at, not assumed."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from tilewright.contract.workers import ProbeReport

WAY_SECONDS = 3.0
CHILD_SECONDS = 5.0
FREE_BYTES = 64 * 2**20
FREE_MEMORY_BYTES = 512 * 2**20
"""An attempt and its evaluators take about as much."""

Look = Callable[[], str | None]


def probe_host(url: str, logs_dir: str) -> ProbeReport:
    """Takes some seconds at most."""
    looks: tuple[Look, ...] = (
        lambda: _ailment_of_way(url),
        lambda: _ailment_of_logs(Path(logs_dir)),
        _ailment_of_memory,
        _ailment_of_children,
    )
    return ProbeReport(ailment=next((ailment for look in looks if (ailment := look()) is not None), None))


def _ailment_of_way(url: str) -> str | None:
    try:
        # As attempts ask it: their environment names no proxy.
        with build_opener(ProxyHandler({})).open(f"{url}/healthz", timeout=WAY_SECONDS) as answer:
            answer.read(1024)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return (
            f"this worker does not reach the service at {url} ({reason}): set TILEWRIGHT_PUBLIC_URL of the service "
            "to an address that its workers reach"
        )
    return None


def _ailment_of_logs(logs_dir: Path) -> str | None:
    remedy = "make room, or choose another directory with TILEWRIGHT_LOGS_DIR"
    try:
        logs_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=logs_dir) as file:
            file.write(b"tilewright" * 100)
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(logs_dir).free
    except OSError as error:
        return f"{logs_dir.absolute()} cannot be written ({error.strerror or error}): {remedy}"
    if free < FREE_BYTES:
        return f"{logs_dir.absolute()} has {free / 2**20:.0f} MiB left, which is too little: {remedy}"
    return None


def _ailment_of_memory() -> str | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None  # it does not tell
    if available < FREE_MEMORY_BYTES:
        return f"{available / 2**20:.0f} MiB of memory are available, which is too little for an attempt"
    return None


def _ailment_of_children() -> str | None:
    try:
        done = subprocess.run([sys.executable, "-S", "-c", ""], timeout=CHILD_SECONDS, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        return f"a process could not be started within {CHILD_SECONDS:g} s"
    except OSError as error:
        return f"no process can be started ({error.strerror or error})"
    return None if done.returncode == 0 else f"a process that does nothing ended with exit code {done.returncode}"
