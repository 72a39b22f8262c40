"""A machine that is only played: processes that take it for their host, its own locks, logs and notebook.

Where network namespaces can be had, it has an address of its own, too. What makes a process take it for its host is a
`sitecustomize` in a folder on PYTHONPATH, for that is what a worker passes on to its attempts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..environment import environment

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"
SITE = """\
import pathlib
import socket

MACHINE = pathlib.Path(__file__).parent.parent
socket.gethostname = lambda: MACHINE.name
"""


@dataclass(frozen=True)
class Machine:
    folder: Path
    address: str = LOOPBACK
    prefix: tuple[str, ...] = ()
    """Of a command that is to run there."""

    @classmethod
    def make(cls, folder: Path, address: str = LOOPBACK, prefix: tuple[str, ...] = ()) -> "Machine":
        """Named as its folder, which is made."""
        machine = cls(folder, address, prefix)
        for each in (machine.site, machine.notes, machine.logs):
            each.mkdir(parents=True)
        (machine.site / "sitecustomize.py").write_text(SITE)
        machine.direct({})
        return machine

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **environment("LD_PRELOAD"),
            "PYTHONPATH": f"{self.site}:{ROOT}",
            "TILEWRIGHT_LOCKS_DIR": str(self.folder / "locks"),
            "TILEWRIGHT_LOGS_DIR": str(self.logs),
            "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
            **more,
        }

    def direct(self, directions: Mapping[str, Any]) -> None:
        """Tell the stand-ins on this machine how to behave from now on: see `directions.py`."""
        draft = self.folder / "directions.draft"
        draft.write_text(json.dumps(dict(directions)))
        draft.replace(self.folder / "directions.json")
