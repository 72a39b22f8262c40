"""Machines with addresses of their own: network namespaces on a bridge, where whoever runs this may make them.

A part of the network goes silent without a word: the neighbour is given a hardware address that nobody has, so what is
sent there is lost, in one direction or in both.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count

NOBODY = "02:00:00:00:00:01"
COMMAND = "ip"


@cache
def can_be_had() -> bool:
    if os.getuid() != 0 or shutil.which(COMMAND) is None:
        return False
    name = f"tw-probe-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("link", "add", "tw-probe0", "type", "veth", "peer", "name", "tw-probe1")
        _ip("link", "delete", "tw-probe0")
    except subprocess.CalledProcessError:
        return False
    finally:
        subprocess.run([COMMAND, "netns", "delete", name], capture_output=True, check=False)
    return True


_numbers = count(os.getpid() * 37 % 10_000)


class Network:
    """A bridge; this process and what it starts itself are on it at `address`."""

    def __init__(self, number: int) -> None:
        self._bridge, self._prefix = f"twb{number}", f"10.213.{number % 250}"
        self._names: list[str] = []
        self.address = f"{self._prefix}.1"

    def add(self) -> tuple[str, tuple[str, ...]]:
        """The address of one more machine, and how a command is begun that is to run there."""
        number = len(self._names) + 2
        name, inner, outer = f"{self._bridge}n{number}", "eth0", f"{self._bridge}v{number}"
        address = f"{self._prefix}.{number}"
        self._names.append(name)
        _ip("netns", "add", name)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        _ip("link", "set", outer, "master", self._bridge, "up")
        _ip("-n", name, "address", "add", f"{address}/24", "dev", inner)
        _ip("-n", name, "link", "set", inner, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return address, (COMMAND, "netns", "exec", name)

    def silence(self, address: str, there: bool = True, back: bool = True) -> None:
        """What is sent from here to that machine is lost, or what it sends here, or both."""
        if there:
            _ip("neighbour", "replace", address, "lladdr", NOBODY, "nud", "permanent", "dev", self._bridge)
        if back:
            _ip(
                "-n",
                self._name(address),
                "neighbour",
                "replace",
                self.address,
                "lladdr",
                NOBODY,
                "nud",
                "permanent",
                "dev",
                "eth0",
            )

    def heal(self, address: str) -> None:
        for command in (
            ["neighbour", "delete", address, "dev", self._bridge],
            ["-n", self._name(address), "neighbour", "delete", self.address, "dev", "eth0"],
        ):
            subprocess.run([COMMAND, *command], capture_output=True, check=False)

    def _name(self, address: str) -> str:
        return f"{self._bridge}n{address.rpartition('.')[2]}"


@contextmanager
def network() -> Iterator[Network]:
    made = Network(next(_numbers))
    try:
        _ip("link", "add", made._bridge, "type", "bridge")
        _ip("address", "add", f"{made.address}/24", "dev", made._bridge)
        _ip("link", "set", made._bridge, "up")
        yield made
    finally:
        # The kernel takes a namespace down a while later: meanwhile the next network has names of its own.
        for name in made._names:
            subprocess.run([COMMAND, "netns", "delete", name], capture_output=True, check=False)
        subprocess.run([COMMAND, "link", "delete", made._bridge], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    subprocess.run([COMMAND, *arguments], check=True, capture_output=True)
