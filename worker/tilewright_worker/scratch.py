"""Dask wants a directory to work in, and puts it first on Python's path: it has to be nobody else's."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def scratch_directory() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="tilewright-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def forget_scratch(directory: str) -> None:
    """Modules are not looked for in it."""
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(directory)]
