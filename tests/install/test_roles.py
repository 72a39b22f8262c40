"""Who only asks a service installs no compiler, and a service runs where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..services import ServiceProcess

ROOT = Path(__file__).parents[2]
MOST_CLIENT_BYTES = 40 * 2**20
CONV = {"batch": 1, "in_channels": 8, "height": 8, "width": 8, "out_channels": 8, "kernel_size": [1, 1]}


class Environment:
    """A virtual environment with one role of the project in it."""

    def __init__(self, folder: Path, wheel: Path, extras: str, *options: str) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        constraints = str(ROOT / "constraints.txt")
        self.pip("install", "--quiet", *options, "--constraint", constraints, f"tilewright{extras} @ {wheel.as_uri()}")

    def pip(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "pip", "--python", str(self.folder / "bin" / "python"), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        program = str(self.folder / "bin" / command[0])
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **variables}
        return subprocess.run(
            [program, *command[1:]], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT], check=True)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    return Environment(tmp_path_factory.mktemp("client") / "venv", wheel, "")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    return Environment(tmp_path_factory.mktemp("service") / "venv", wheel, "[service]", "--no-compile")


def test_the_client_is_small_and_brings_no_compiler_server_or_engine(client: Environment) -> None:
    assert client.size() <= MOST_CLIENT_BYTES
    installed = client.pip("list", "--format=freeze").lower()
    for heavy in ("apache-tvm", "numpy", "xgboost", "distributed", "fastapi", "sqlalchemy"):
        assert f"{heavy}==" not in installed
    assert client.run("tilewright", "--help").returncode == 0


@pytest.mark.parametrize(
    ("command", "extra"),
    [(["serve"], "service"), (["worker", "--engine", "tcp://127.0.0.1:1"], "worker"), (["demo"], "all")],
    ids=["serve", "worker", "demo"],
)
def test_a_command_whose_part_is_missing_names_the_extra(client: Environment, command: list[str], extra: str) -> None:
    done = client.run("tilewright", *command)
    assert done.returncode == 2
    assert f"pip install 'tilewright[{extra}]'" in done.stderr


def test_loading_a_kernel_without_the_kernels_names_the_extra(client: Environment) -> None:
    program = f"import tilewright; tilewright.connect().load({CONV})"
    done = client.run("python", "-c", program)
    assert "MissingPart" in done.stderr
    assert "pip install 'tilewright[kernels]'" in done.stderr


def test_a_service_without_tvm_answers_a_client_without_anything(service: Environment, client: Environment) -> None:
    assert service.run("python", "-c", "import tvm").returncode == 1
    program = f"import tilewright; job = tilewright.connect().submit({CONV}); print(job.id, job.state)"
    with ServiceProcess(service.folder, service.folder / "bin" / "python") as served:
        submitted = client.run("python", "-c", program, TILEWRIGHT_URL=served.url)
        listed = client.run("tilewright", "jobs", "--json", TILEWRIGHT_URL=served.url)
    assert submitted.stdout.split() == ["1", "queued"], submitted.stderr
    assert "it waits: no worker has joined yet" in listed.stdout
