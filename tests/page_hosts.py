"""The hosts of a page for administrators, played on this machine: each with a root folder of its own, and an address.

Where network namespaces can be had each host is one, and the ports are those of the page. Elsewhere they are addresses
of loopback, and nothing is between people and the service.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from .cluster import namespaces
from .environment import environment
from .page_blocks import Block
from .postgresql import PostgresServer
from .units import Unit

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
NAME = "tilewright.example"
FOLDERS = ("/etc", "/opt/tilewright", "/run/lock", "/usr/local/bin", "/var/backups", "/var/lib/tilewright", "/var/tmp")
PATHS = re.compile(rf"(?<![\w.])({'|'.join(FOLDERS)})(?=/|\b)")
OF_ROOT = ("/etc/sysusers.d/", "/etc/tmpfiles.d/")
"""What these files say is understood below another root by the programs that read them."""
INSTALLING = ("-m venv", "pip install")
"""Is done in tests/install; here there is what is installed already."""
RUN_SECONDS = 60
COMMANDS = {
    "journalctl": 'while [ "$1" != -u ]; do shift; done; exec cat "$ROOT/run/$2.log"',
    "runuser": 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    "scp": 'for to in "$@"; do :; done; while [ $# -gt 1 ]; do cp "$1" "$HOSTS/${to%%:*}${to#*:$ROOT}"; shift; done',
    "systemctl": f'cd {ROOT} && exec {sys.executable} -m tests.units "$ROOT" "$@"',
    "systemd-sysusers": 'exec "$REAL" --root="$ROOT" "$@"',
    "systemd-tmpfiles": 'exec "$REAL" --root="$ROOT" "$@"',
}
"""What stands for programs of a whole machine."""


class PageHost:
    def __init__(self, hosts: "PageHosts", name: str, address: str, prefix: tuple[str, ...]) -> None:
        self.name, self.address = name, address
        self.root = hosts.folder / name
        self._hosts, self._prefix = hosts, prefix
        for folder in ("etc", "run/lock", "tmp", "usr/local/bin", "var/tmp", "opt/tilewright", "shims", "home"):
            (self.root / folder).mkdir(parents=True)
        for sub in ("etc/tilewright/tls", "etc/systemd/system", "var/lib/tilewright/logs", "var/backups/tilewright"):
            (self.root / sub).mkdir(parents=True)
        (self.root / "run/lock").chmod(0o1777)
        (self.root / "opt/tilewright/0.1.0").symlink_to(sys.prefix)
        for command, text in COMMANDS.items():
            self._stand_in(command, text)

    def write(self, path: str, text: str) -> None:
        file = Path(f"{self.root}{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if path.startswith(OF_ROOT) else self.localize(text))

    def run(self, script: str, **variables: str) -> str:
        """What it prints. Fails when one of its commands does."""
        lines = [line for line in script.splitlines() if not any(each in line for each in INSTALLING)]
        done = subprocess.run(
            [*self._prefix, "bash", "-c", "set -eu\n" + self.localize("\n".join(lines))],
            env={**self._environment(), **variables},
            cwd=self.root / "home",
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"on {self.name}: {script}\n{done.stdout}\n{done.stderr}\n{self.logs()[-3000:]}"
        return done.stdout

    def command(self, *command: str) -> list[str]:
        return [*self._prefix, *command]

    def logs(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text()}" for log in self.root.glob("run/*.log"))

    def stop_units(self) -> None:
        for pid_file in self.root.glob("run/*.pid"):
            Unit(self.root, pid_file.stem).stop()

    def localize(self, text: str) -> str:
        """With the paths, addresses and names of here."""
        text = PATHS.sub(rf"{self.root}\1", text)
        for name, host in self._hosts.by_name.items():
            text = text.replace(f"tls://{name}:", f"tls://{host.address}:")
        text = text.replace("@db/tilewright", f"@/tilewright?host={self._hosts.postgresql.folder}")
        return self._on_loopback(text) if self._hosts.is_on_loopback else text.replace(NAME, self._hosts.front)

    def _on_loopback(self, text: str) -> str:
        text = text.replace(f"https://{NAME}", f"http://{self._hosts.front}:8000")
        text = text.replace("127.0.0.1:8000", f"{self.address}:8000").replace(
            "--host 0.0.0.0", f"--host {self.address}"
        )
        return text.replace("TILEWRIGHT_DATA_DIR=", f"TILEWRIGHT_HOST={self.address}\nTILEWRIGHT_DATA_DIR=")

    def _environment(self) -> dict[str, str]:
        path = (self.root / "shims", self.root / "usr/local/bin", BIN, self._hosts.postgresql.binaries)
        return environment(
            PATH=":".join([*map(str, path), os.environ["PATH"]]),
            HOME=str(self.root / "home"),
            ROOT=str(self.root),
            HOSTS=str(self._hosts.folder),
            PGHOST=str(self._hosts.postgresql.folder),
            PGUSER="postgres",
            PGDATABASE="postgres",
        )

    def _stand_in(self, command: str, text: str) -> None:
        shim, real = self.root / "shims" / command, f"/usr/bin/{command}"
        if "$REAL" in text and (os.getuid() != 0 or not Path(real).exists()):
            text = "exit 0"
        shim.write_text(f"#!/bin/sh\n{text.replace('$REAL', real)}\n")
        shim.chmod(0o755)


class PageHosts:
    def __init__(self, folder: Path, postgresql: PostgresServer, network: namespaces.Network | None) -> None:
        self.folder, self.postgresql = folder, postgresql
        self.is_on_loopback = network is None
        self.by_name: dict[str, PageHost] = {}
        self._network = network

    def __getitem__(self, name: str) -> PageHost:
        return self.by_name[name]

    @property
    def front(self) -> str:
        """Where the name of the service leads."""
        return self.by_name["service1"].address

    def add(self, names: tuple[str, ...]) -> None:
        for number, name in enumerate(names, 11):
            address, prefix = self._network.add() if self._network else (f"127.0.0.{number}", ())
            self.by_name[name] = PageHost(self, name, address, prefix)

    def carry_out(self, block: Block, variables: Mapping[str, str] = {}) -> list[str]:
        """Write the file, or run the commands, on all hosts of the block; gives what they print."""
        if block.path is None:
            return [self[name].run(block.text, **variables) for name in block.hosts]
        for name in block.hosts:
            self[name].write(block.path, block.text)
        return []


@contextmanager
def page_hosts(folder: Path, postgresql: PostgresServer, *names: str) -> Iterator[PageHosts]:
    with _network() as network:
        hosts = PageHosts(folder, postgresql, network)
        hosts.add(names)
        try:
            yield hosts
        finally:
            with ThreadPoolExecutor() as pool:
                list(pool.map(PageHost.stop_units, hosts.by_name.values()))


@contextmanager
def _network() -> Iterator[namespaces.Network | None]:
    if not namespaces.can_be_had():
        yield None
        return
    with namespaces.network() as network:
        yield network
