"""`tilewright worker`, from its start to its end: asked to end it drains first, and asked twice it ends at once."""

import os
import queue
import signal
import sys

from tilewright.cli.interrupts import EXIT_CODES, end, finish_line, on_signal
from tilewright.errors import CannotStart
from tilewright_worker.core_locks import CoreLocks, LocksRefused
from tilewright_worker.host_worker import HostWorker, WorkerThread, logs_directory
from tilewright_worker.quiet import quieten_dask
from tilewright_worker.scheduler import require_private, security_of
from tilewright_worker.slot import Slot
from tilewright_worker.unpickling import refuse_unpickling

DRAIN_SECONDS = 10.0
"""For a running attempt to take leave of its service."""
ENDED = 0
"""In place of a signal: the worker ended by itself."""


def run(engine_url: str, is_insecure: bool = False, port: int = 0) -> int:
    """Work until a signal, and give its exit code; the certificates for `tls://` are set up as Dask has them.

    It listens on `port` alone; 0 is a free one. Raises CannotStart.
    """
    quieten_dask()
    refuse_unpickling()
    require_private(engine_url, is_insecure)
    security = security_of(engine_url, "worker")
    _require_locks()
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for each in EXIT_CODES:
        on_signal(each, lambda number, _: _hear(signals, number))
    logs_dir = logs_directory()
    slot = Slot(os.environ.get("TILEWRIGHT_ATTEMPT_MODULE") or "tilewright_worker", logs_dir)
    worker = HostWorker(engine_url, security, slot, logs_dir, port)
    announcement = f"{worker.name} works for {engine_url}"
    thread = WorkerThread(worker, lambda: print(announcement, flush=True), lambda: signals.put(ENDED))
    number = signals.get()
    if number != ENDED:
        _drain(slot, thread)
    slot.end()
    if number == ENDED:
        thread.ended.result()
    return _exit_code(number)


def _exit_code(number: int) -> int:
    return EXIT_CODES[signal.Signals(number)] if number != ENDED else 1


_heard: list[int] = []


def _hear(signals: "queue.SimpleQueue[int]", number: int) -> None:
    if _heard:  # somebody is in a hurry
        end(number)
    _heard.append(number)
    finish_line(number)
    signals.put(number)


def _drain(slot: Slot, thread: WorkerThread) -> None:
    slot.drain()
    if not slot.await_idle(DRAIN_SECONDS):
        print(f"the attempt did not end within {DRAIN_SECONDS:g} s, and is killed", file=sys.stderr)
    thread.leave()


def _require_locks() -> None:
    try:
        CoreLocks().holder()
    except LocksRefused as refusal:
        raise CannotStart(str(refusal)) from refusal
