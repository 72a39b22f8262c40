"""Waiting for what has to happen, with a bound."""

import time
from collections.abc import Callable


class TooLate(AssertionError):
    """It has not happened in the time that it may take."""


def until(holds: Callable[[], object], seconds: float, what: str, pause: float = 0.05) -> float:
    """How long it took. What cannot be asked just now does not hold yet."""
    began = time.monotonic()
    problem: Exception | None = None
    while True:
        try:
            if holds():
                return time.monotonic() - began
        except OSError as error:
            problem = error
        if time.monotonic() - began > seconds:
            raise TooLate(f"{what}: not within {seconds:.0f} s" + (f" ({problem})" if problem else ""))
        time.sleep(pause)
