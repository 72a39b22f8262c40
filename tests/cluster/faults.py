"""What can be done to a process of a cluster."""

import signal
import subprocess
from contextlib import suppress

import psutil

END_SECONDS = 20.0


class Faults:
    """A process, with everything that it has started."""

    role = "process"
    process: "subprocess.Popen[bytes]"

    @property
    def is_running(self) -> bool:
        return hasattr(self, "process") and self.process.poll() is None

    def kill(self) -> None:
        """The process alone, as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def kill_all(self) -> None:
        """With its descendants, as the end of their machine does."""
        family = self.family() if hasattr(self, "process") else []
        _signal(family, signal.SIGKILL)
        psutil.wait_procs(family, timeout=END_SECONDS)
        if hasattr(self, "process"):
            self.process.wait()

    def freeze(self) -> None:
        """The process alone."""
        self.process.send_signal(signal.SIGSTOP)

    def freeze_all(self) -> None:
        """With its descendants, as a paused machine is."""
        _signal(self.family(), signal.SIGSTOP)

    def thaw(self) -> None:
        _signal(self.family(), signal.SIGCONT)

    def terminate(self) -> int:
        """Ask it to end, and give its exit code."""
        self.process.terminate()
        return self.process.wait(END_SECONDS)

    def family(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        return []


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
