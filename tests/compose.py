"""What the compose files start, as processes of this machine: each service of them with an address of its own.

Where network namespaces can be had each is one; elsewhere they are addresses of loopback. Volumes are folders. Not an
image is built, and the database is a server of the tests' own.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from .cluster import namespaces
from .environment import environment
from .postgresql import PostgresServer

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
REPLACED = ("command", "test")
"""What a later file says in place of an earlier one; other lists grow."""
VARIABLE = re.compile(r"\$\{(\w+)(?::\?([^}]*))?\}")
DATABASE = "database"
HEALTHY_SECONDS = 60.0
GRACE_SECONDS = 10.0

Service = dict[str, Any]


def services_of(*files: str, variables: Mapping[str, str]) -> dict[str, Service]:
    """By name, as compose understands them."""
    merged: dict[str, Any] = {}
    for file in files:
        text = VARIABLE.sub(lambda found: _value(found, variables), (ROOT / file).read_text())
        merged = _merge(merged, yaml.safe_load(text))
    services: dict[str, Service] = merged["services"]
    for service in services.values():
        if (base := service.pop("extends", None)) is not None:
            own = dict(service)
            service.update(_merge(services_of(base["file"], variables=variables)[base["service"]], own))
    return services


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, complaint = found.groups()
    if name not in variables:
        raise KeyError(f"{name}: {complaint}")
    return variables[name]


def _merge(first: Any, second: Any, key: str = "") -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        names = dict.fromkeys([*first, *second])
        return {
            name: _merge(first[name], second[name], name)
            if name in first and name in second
            else {**first, **second}[name]
            for name in names
        }
    if isinstance(first, list) and isinstance(second, list) and key not in REPLACED:
        return [*first, *second]
    return second


class Container:
    def __init__(self, composition: "Composition", name: str, address: str, prefix: tuple[str, ...]) -> None:
        self.name, self.address = name, address
        self._of, self._prefix, self._service = composition, prefix, composition.services[name]
        self._log = composition.folder / f"{name}.log"

    def start(self) -> None:
        for other in self._service.get("depends_on", {}):
            if other != DATABASE:
                self._of.containers[other].await_health()
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [*self._prefix, *self._on_cores(), *self._localize(self._service["command"])],
                env=self._environment(),
                cwd=self._of.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> int:
        """The exit code, after SIGTERM; -9 where that took too long."""
        self.process.send_signal(signal.SIGTERM)
        grace = str(self._service.get("stop_grace_period", f"{GRACE_SECONDS:g}s"))
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(float(grace.removesuffix("s")))
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def await_health(self) -> None:
        deadline = time.monotonic() + HEALTHY_SECONDS
        while not self._is_healthy():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)

    def log(self) -> str:
        return self._log.read_text()

    def _is_healthy(self) -> bool:
        kind, *command = self._service["healthcheck"]["test"]
        assert kind == "CMD"
        return not subprocess.run(
            [*self._prefix, *self._localize(command)], env=self._environment(), capture_output=True, check=False
        ).returncode

    def _on_cores(self) -> list[str]:
        cores = self._service.get("cpuset")
        return ["taskset", "--cpu-list", cores] if cores else []

    def _environment(self) -> dict[str, str]:
        said = {**_environment_of_image(), **self._service.get("environment", {})}
        values = {name: os.environ.get(name, "") if value is None else str(value) for name, value in said.items()}
        values = {name: self._of.variables[name] if said[name] is None else values[name] for name in values}
        return environment(**{name: self._localize([value])[0] for name, value in values.items()})

    def _localize(self, words: list[str]) -> list[str]:
        """With the addresses and folders of here."""
        first, *rest = (self._of.localize(word, self) for word in words)
        return [str(BIN / first) if (BIN / first).exists() and "/" not in first else first, *rest]

    def folder_of(self, path: str) -> Path | None:
        """Of the volume that is there."""
        for volume in self._service.get("volumes", []):
            name, _, where = volume.partition(":")
            if path == where:
                folder = self._of.folder / "volumes" / name
                folder.mkdir(parents=True, exist_ok=True)
                return folder
        return None


class Composition:
    def __init__(
        self, folder: Path, services: dict[str, Service], variables: Mapping[str, str], server: PostgresServer | None
    ) -> None:
        self.folder, self.services, self.variables = folder, services, variables
        self.containers: dict[str, Container] = {}
        self._server = server
        self._is_on_loopback = True

    def join(self, network: namespaces.Network | None) -> None:
        self._is_on_loopback = network is None
        for number, name in enumerate((each for each in self.services if each != DATABASE), 31):
            address, prefix = network.add() if network else (f"127.0.0.{number}", ())
            self.containers[name] = Container(self, name, address, prefix)

    def start(self) -> None:
        for name in sorted(self.containers, key=self._depth):
            self.containers[name].start()
        self.containers["service"].await_health()

    def stop(self) -> dict[str, int]:
        return {name: container.stop() for name, container in self.containers.items()}

    def localize(self, word: str, container: Container) -> str:
        for name, other in self.containers.items():
            word = word.replace(f"//{name}:", f"//{other.address}:")
        if self._server is not None:
            word = word.replace(f"@{DATABASE}/tilewright", f"@/tilewright?host={self._server.folder}")
        if self._is_on_loopback:
            word = word.replace("0.0.0.0", container.address).replace("127.0.0.1", container.address)
        return str(container.folder_of(word) or word)

    def _depth(self, name: str) -> int:
        others = [each for each in self.services[name].get("depends_on", {}) if each != DATABASE]
        return 1 + max(map(self._depth, others), default=0)


@contextmanager
def composition(
    folder: Path, *files: str, variables: Mapping[str, str], server: PostgresServer | None = None
) -> Iterator[Composition]:
    """Started, and ready."""
    made = Composition(folder, services_of(*files, variables=variables), variables, server)
    with _network() as network:
        made.join(network)
        try:
            made.start()
            yield made
        finally:
            for container in made.containers.values():
                if hasattr(container, "process"):
                    container.stop()


@contextmanager
def _network() -> Iterator[namespaces.Network | None]:
    if not namespaces.can_be_had():
        yield None
        return
    with namespaces.network() as network:
        yield network


def _environment_of_image() -> dict[str, str]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return dict(word.split("=", 1) for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for word in line.split())
