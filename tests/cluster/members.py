"""The processes of a cluster: services, schedulers and workers, as their commands start them."""

import json
import subprocess
import sys
from pathlib import Path

from .faults import Faults
from .machine import Machine


class DidNotStart(Exception):
    """With what it said."""


class Member(Faults):
    """One process on a machine. It may be started again after its end, with the same settings."""

    def __init__(self, role: str, name: str, machine: Machine, command: list[str], **settings: str) -> None:
        self.role, self.name, self.machine = role, name, machine
        self.log = machine.folder / f"{name}.log"
        self._command = [*machine.prefix, *command]
        self._environment = machine.environment(**settings)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.PIPE, stderr=log, cwd=self.machine.folder
            )
        self._await()

    def restart(self) -> None:
        self.kill_all()
        self.start()

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def _await(self) -> None:
        """Returns when it is there. Raises DidNotStart."""
        if not self._first_line():
            raise DidNotStart(f"{self.name} left with {self.process.wait()}: {self.said()[-2000:]}")

    def _first_line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


class Service(Member):
    """`tilewright serve`, on a port that it keeps."""

    def __init__(self, name: str, machine: Machine, **settings: str) -> None:
        command = [sys.executable, "-m", "tilewright.cli", "serve", "--json"]
        super().__init__("service", name, machine, command, **settings)

    def _await(self) -> None:
        super()._await()

    def _first_line(self) -> bytes:
        line = super()._first_line()
        if line:
            self.url: str = json.loads(line)["url"]
        return line


class Worker(Member):
    """`tilewright worker`. It is there when it has begun; it joins when it finds the scheduler."""

    def __init__(self, name: str, machine: Machine, engine: str, **settings: str) -> None:
        command = [sys.executable, "-m", "tilewright.cli", "worker", "--engine", engine]
        super().__init__("worker", name, machine, command, **settings)

    def _await(self) -> None:
        """Whether it has joined is seen from the service."""


class Scheduler(Member):
    """`dask scheduler`, on a port that it keeps."""

    def __init__(self, machine: Machine, host: str, port: int, protocol: str = "tcp", **settings: str) -> None:
        dask = str(Path(sys.executable).with_name("dask"))
        where = ["--no-dashboard", "--host", host, "--port", str(port), "--protocol", protocol]
        super().__init__("scheduler", "scheduler", machine, [dask, "scheduler", *where], **settings)

    def _await(self) -> None:
        """Those who look for it wait."""
