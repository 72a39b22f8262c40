"""Dask wants a directory when it is set up, and puts it first on Python's path: nobody else can write into this one.

It uses it for nothing that we do, so the directory is gone again when Dask is set up, however its process ends later.
"""

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
        sys.path[:] = [entry for entry in sys.path if not entry.startswith(path)]
        shutil.rmtree(path, ignore_errors=True)
