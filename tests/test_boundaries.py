"""Who may import whom is held by import-linter; these tests hold that it would notice."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("client", "kernels", "tuning", "worker", "comparison", "service")
FORBIDDEN = {
    "the client imports kernels": ("client/tilewright/hub.py", "import tilewright_kernels.runtime.kernel"),
    "tuning speaks HTTP": ("tuning/tilewright_tuning/budget.py", "import tilewright.http"),
    "the service imports TVM by a detour": (
        "service/tilewright_service/pages.py",
        "import tilewright_kernels.isa.llvm",
    ),
    "choices import NumPy": ("kernels/tilewright_kernels/conv2d/tiling.py", "import numpy"),
    "a cost expectation imports TVM": ("kernels/tilewright_kernels/conv2d/grouped/cost.py", "import tvm"),
    "schedules know a kind": (
        "kernels/tilewright_kernels/schedule/stage.py",
        "import tilewright_kernels.conv2d.dense.space",
    ),
    "a kind imports another": (
        "kernels/tilewright_kernels/conv2d/dense/choices.py",
        "import tilewright_kernels.conv2d.grouped.choices",
    ),
}


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    paths = ":".join(str(tree / package) for package in PACKAGES)
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": paths, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all packages."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return copy


def test_the_packages_keep_their_boundaries(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("file", "line"), list(FORBIDDEN.values()), ids=list(FORBIDDEN))
def test_one_forbidden_import_is_noticed(tree: Path, file: str, line: str) -> None:
    path = tree / file
    before = path.read_text()
    path.write_text(f"{before}\n{line}\n")
    try:
        done = lint(tree)
    finally:
        path.write_text(before)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
