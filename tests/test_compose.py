"""The compose files: what they start works together, ends in its time, and does not fill the disk."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import tilewright
from tilewright_service.settings import Settings

from .compose import ROOT, Composition, composition, services_of
from .postgresql import PostgresServer, postgres_server

PLAIN, WITH_POSTGRESQL = ("docker-compose.yml",), ("docker-compose.yml", "docker-compose.postgresql.yml")
CORES = sorted(os.sched_getaffinity(0))
VARIABLES = {
    "TILEWRIGHT_TOKEN": "a-token-of-the-tests",
    "POSTGRES_PASSWORD": "a-password",
    "WORKER_1_CPUS": str(CORES[0]),
    "WORKER_2_CPUS": str(CORES[-1]),
}
CONV = {"batch": 1, "in_channels": 8, "height": 8, "width": 8, "out_channels": 8, "kernel_size": [1, 1]}

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as started:
        started.execute("CREATE ROLE tilewright LOGIN PASSWORD 'a-password'")
        started.execute("CREATE DATABASE tilewright OWNER tilewright")
        yield started


def test_a_service_on_sqlite_tunes_with_its_worker_and_all_end_when_they_are_asked(tmp_path: Path) -> None:
    with composition(tmp_path, *PLAIN, variables=VARIABLES) as composed:
        tune(composed, 1)
        assert (tmp_path / "volumes/data/tilewright.db").exists()
        assert any((tmp_path / "volumes/tuning_logs").iterdir())
        assert set(composed.stop().values()) == {0}


@pytest.mark.soak
def test_a_service_on_postgresql_tunes_with_two_workers(tmp_path: Path, server: PostgresServer) -> None:
    with composition(tmp_path, *WITH_POSTGRESQL, variables=VARIABLES, server=server) as composed:
        tune(composed, 2)
        assert not (tmp_path / "volumes/data/tilewright.db").exists()


def tune(composed: Composition, workers: int) -> None:
    """With so many workers; fails when a job does."""
    url = f"http://{composed.containers['service'].address}:8000"
    with tilewright.connect(url, token=VARIABLES["TILEWRIGHT_TOKEN"]) as hub:
        job = hub.submit([{**CONV, "out_channels": 8 * count} for count in range(1, workers + 1)], trials=1)
        assert job.wait().state == "finished"
    assert sum("works for" in composed.containers[name].log() for name in composed.containers) == workers


@pytest.mark.parametrize("files", [PLAIN, WITH_POSTGRESQL], ids=["sqlite", "postgresql"])
def test_nothing_grows_without_end_or_stays_away(files: tuple[str, ...]) -> None:
    for service in services_of(*files, variables=VARIABLES).values():
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}
        assert service["restart"] == "unless-stopped"
        assert "mem_limit" in service or "worker" in service["command"]


@pytest.mark.parametrize("files", [PLAIN, WITH_POSTGRESQL], ids=["sqlite", "postgresql"])
def test_whatever_is_set_exists(files: tuple[str, ...]) -> None:
    known = {f"TILEWRIGHT_{name.upper()}" for name in Settings.model_fields} | {"TILEWRIGHT_LOCKS_DIR"}
    for name, service in services_of(*files, variables=VARIABLES).items():
        assert name == "database" or set(service.get("environment", {})) <= known


def test_networks_and_volumes_are_declared_and_only_the_service_has_a_port() -> None:
    for files in (PLAIN, WITH_POSTGRESQL):
        declared = [yaml.safe_load((ROOT / file).read_text()) for file in files]
        for name, service in services_of(*files, variables=VARIABLES).items():
            assert all(any(network in each["networks"] for each in declared) for network in service["networks"])
            volumes = [volume.partition(":")[0] for volume in service.get("volumes", [])]
            assert all(any(volume in each["volumes"] for each in declared) for volume in volumes)
            assert ("ports" in service) == (name == "service")


def test_a_worker_of_two_has_to_be_given_cores() -> None:
    with pytest.raises(KeyError, match="cores of the second worker"):
        services_of(
            *WITH_POSTGRESQL, variables={name: VARIABLES[name] for name in VARIABLES if name != "WORKER_2_CPUS"}
        )


def test_docker_finds_nothing_wrong_with_the_files() -> None:
    for files in (PLAIN, WITH_POSTGRESQL):
        command = ["docker", "compose", *(word for file in files for word in ("--file", file)), "config", "--quiet"]
        try:
            subprocess.run(["docker", "compose", "version"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("there is no docker compose here")
        subprocess.run(command, cwd=ROOT, env={**os.environ, **VARIABLES}, check=True)
