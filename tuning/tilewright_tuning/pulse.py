"""Whether work gets on, and whether it may go on: what the threads of an attempt know of its main one."""

import threading


class Stopped(Exception):
    """Nobody wants the work any more. Not a failure of anything: it passes through whatever catches those."""


class Pulse:
    """One for a whole attempt. `steps` grows with whatever comes to its end, never by itself."""

    def __init__(self) -> None:
        self.steps = 0
        self._stopped = threading.Event()

    def beat(self) -> None:
        """The work has got on."""
        self.steps += 1

    def stop(self) -> None:
        """From any thread, or a signal's handler: what waits for a child process raises Stopped soon."""
        self._stopped.set()

    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it is stopped, after so long at most."""
        return self._stopped.wait(seconds)

    def check(self) -> None:
        """Raises Stopped."""
        if self._stopped.is_set():
            raise Stopped
