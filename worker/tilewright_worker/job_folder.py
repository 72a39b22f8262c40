"""Which folder of `tuning_logs` a job has. Numbers of jobs mean something only together with their database."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tilewright_worker.lines import file_lock, replace_file, sync_folder

OWNER = "database_id"
"""The file that says whose folder it is."""


def job_folder(logs_dir: Path, job_id: int, database_id: str) -> Path:
    """The folder of a job, made if need be: `7`, or `7-5f3c9a01` where another database has a job 7.

    What is there is never moved or emptied: somebody may be writing in it.
    """
    logs_dir.mkdir(parents=True, exist_ok=True)
    plain, own = logs_dir / str(job_id), logs_dir / f"{job_id}-{database_id[:8]}"
    with file_lock(logs_dir / ".lock"):
        for folder in (plain, own):
            if owner_of(folder) == database_id:
                return folder
        folder = own if plain.exists() and any(plain.iterdir()) else plain
        folder.mkdir(exist_ok=True)
        sync_folder(logs_dir)
        replace_file(folder / OWNER, f"{database_id}\n")
    return folder


def owner_of(folder: Path) -> str | None:
    """The database that a folder belongs to; None where it does not say."""
    try:
        content = (folder / OWNER).read_bytes()
    except OSError:
        return None
    found = re.fullmatch(rb"([0-9a-f]{32})\n?", content)
    return found[1].decode() if found else None


def folders_of(logs_dir: Path, database_id: str, is_wanted: Callable[[str], bool] = lambda _: True) -> Iterator[Path]:
    """All of them, of whatever job, that `is_wanted`: it is asked first, and should be quick, for there may be many."""
    with os.scandir(logs_dir) as entries:
        paths = sorted(entry.path for entry in entries if is_wanted(entry.path))
    for folder in map(Path, paths):
        if owner_of(folder) == database_id:
            yield folder
