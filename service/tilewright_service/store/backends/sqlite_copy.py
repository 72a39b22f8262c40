"""A copy of a SQLite database, of one moment, while others write to it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

PAGES_AT_A_TIME = -1
"""All of them under one snapshot, so that writers, who go on, cannot make it begin again."""


def copy_file(source: Path, target: Path) -> None:
    """The whole copy is there under its name, or nothing is."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        uri = f"{source.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as origin, closing(sqlite3.connect(partial)) as copy:
            origin.backup(copy, pages=PAGES_AT_A_TIME)
        put_in_place(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def put_in_place(partial: Path, target: Path) -> None:
    """Rename what is on disk to the last byte."""
    sync(partial)
    partial.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
