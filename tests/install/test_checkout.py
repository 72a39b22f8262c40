"""An installation of a checkout for work on it: `make` and `pip install -e .`."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("package", ["tilewright", "tilewright_service"])
def test_a_folder_of_the_same_name_does_not_hide_the_package(tmp_path: Path, package: str) -> None:
    """As in the parent folder of a clone that is called `tilewright`."""
    (tmp_path / package).mkdir()
    program = f"import {package}; print({package}.__file__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("__init__.py\n")
