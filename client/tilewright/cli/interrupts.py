"""Ctrl-C, at any moment: a command ends at once with 130, but where there is something to say or to clean up.

An exception is no way out of everywhere: libraries that are being imported make errors of their own of it.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: 0}
"""Of what runs until it is asked to end; SIGTERM is how systemd and containers ask."""

CLEANUP_SECONDS = 1.0
"""For so long a second Ctrl-C is taken for an impatient first one."""


def on_signal(number: int, handle: Callable[[int, FrameType | None], object]) -> None:
    """Unless whoever started this process has it ignore the signal, as `&` in scripts does with Ctrl-C."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handle)


def end_on_interrupt() -> None:
    """From now on."""
    on_signal(signal.SIGINT, end)


def end_on_signals() -> None:
    """The same for what runs until it is asked to end."""
    for number in EXIT_CODES:
        on_signal(number, end)


def end(number: int = signal.SIGINT, _: FrameType | None = None) -> NoReturn:
    """End this process and those that multiprocessing started for it."""
    _kill_children()
    finish_line(number)
    os._exit(EXIT_CODES[signal.Signals(number)])


def finish_line(number: int = signal.SIGINT) -> None:
    """A terminal shows ^C, and what comes next would stand beside it."""
    if number == signal.SIGINT and os.isatty(2):
        os.write(2, b"\n")


def _kill_children() -> None:
    if "multiprocessing" in sys.modules:
        with suppress(ImportError, NameError):  # it is just being imported
            from multiprocessing import active_children

            for child in active_children():
                child.kill()


@contextmanager
def interruptible() -> Iterator[None]:
    """In it Ctrl-C raises KeyboardInterrupt, once, and nothing else comes out of it: the process is about to end."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    interrupted_at: float | None = None

    def interrupt(number: int, _: FrameType | None) -> None:
        nonlocal interrupted_at
        if interrupted_at is None:
            interrupted_at = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - interrupted_at > CLEANUP_SECONDS:
            end(number)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception:
        if interrupted_at is not None:
            raise KeyboardInterrupt from None
        raise
    finally:
        if interrupted_at is None:
            signal.signal(signal.SIGINT, before)
