"""A terminal sends Ctrl-C to every process of a command; only the first one is to answer it, and ends the others."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

CTRL_C = {signal.SIGINT}


@contextmanager
def spared_by_ctrl_c() -> Iterator[None]:
    """Threads that are started in it never hear Ctrl-C, nor does any process that they start."""
    _start_resource_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, CTRL_C)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_resource_tracker() -> None:
    """It would be started by the first process, and Python lets the signal through again after that.

    It cleans up after a process that ended at once, and need not say so.
    """
    warnings = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (warnings, "ignore:resource_tracker")))
    try:
        resource_tracker.ensure_running()
    finally:
        if warnings is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = warnings
