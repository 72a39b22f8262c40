"""`tilewright admin certificates DIR` makes what an engine takes to speak TLS; off the host nothing else is taken."""

import os
import stat
from pathlib import Path

import pytest

from tilewright.errors import CannotStart
from tilewright_service.admin.certificates import ROLES, certificates, settings_of, write_certificates
from tilewright_service.dispatch.cluster import start_engine
from tilewright_service.dispatch.way_home import require_way_home
from tilewright_service.settings import Settings
from tilewright_worker.scheduler import require_private

from ..environment import environment
from ..system.running_scheduler import running_scheduler, running_worker
from .bench import ROOT, key, order, wait_for


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("engine") / "certificates"
    write_certificates(directory)
    return directory


def test_only_their_owner_reads_them(directory: Path) -> None:
    assert len(list(directory.iterdir())) == 7
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "worker-key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotStart, match=r"worker-key.pem is there already, and is not overwritten"):
        write_certificates(tmp_path)
    assert os.listdir(tmp_path) == ["worker-key.pem"]


def test_the_command_says_what_to_set_for_each_role(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificates(tmp_path / "new")
    said = capsys.readouterr().out
    for role in ROLES:
        for name, value in settings_of(role, tmp_path / "new").items():
            assert f"export {name}={value}\n" in said
            assert Path(value).exists()


def test_scheduler_worker_and_engine_meet_with_them(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask

    (tmp_path / "logs").mkdir()
    worker_environment = environment(
        **settings_of("worker", directory),
        PYTHONPATH=str(ROOT),
        TILEWRIGHT_ATTEMPT_MODULE="tests.engine.stand_in",
        TILEWRIGHT_LOGS_DIR=str(tmp_path / "logs"),
        TILEWRIGHT_LOCKS_DIR=str(tmp_path / "locks"),
    )
    files = [str(directory / name) for name in ("ca.pem", "service.pem", "service-key.pem")]
    setting = dict(zip(("ca-file", "client.cert", "client.key"), files, strict=True))
    with (
        running_scheduler("tls", environment(**settings_of("scheduler", directory))) as (url, _),
        running_worker(url, worker_environment),
        dask.config.set({f"distributed.comm.tls.{name}": file for name, file in setting.items()}),
    ):
        assert url.startswith("tls://")
        engine = start_engine(Settings(engine=url))
        name = wait_for(lambda: next(iter(engine.view().members), None))
        engine.launch(name, order(1))
        wait_for(lambda: engine.view().members[name].report.running == [key(1)])
        engine.close()


@pytest.mark.parametrize("url", ["tcp://10.1.2.3:8786", "tcp://scheduler:8786", "tcp://[2001:db8::1]:8786"])
def test_an_engine_in_clear_on_another_machine_is_refused_with_what_to_do(url: str) -> None:
    with pytest.raises(CannotStart, match="`tilewright admin certificates DIR` makes what tls:// takes") as refusal:
        start_engine(Settings(engine=url))
    assert "TILEWRIGHT_INSECURE_ENGINE=1 (--insecure-engine) allows it" in str(refusal.value)
    require_private(url, True)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:8786", "tcp://localhost:8786", "tls://scheduler:8786"])
def test_loopback_and_tls_are_private(url: str) -> None:
    require_private(url, False)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "localhost"])
def test_an_address_that_leads_workers_to_themselves_is_refused(host: str) -> None:
    away = Settings(host=host, engine="tls://scheduler:8786")
    with pytest.raises(CannotStart, match="set TILEWRIGHT_PUBLIC_URL to its address as they reach it"):
        require_way_home(away)
    with pytest.raises(CannotStart, match="would call themselves at http://localhost:8000"):
        require_way_home(away.model_copy(update={"public_url": "http://localhost:8000"}))
    require_way_home(away.model_copy(update={"public_url": "http://tilewright.example:8000"}))
    require_way_home(Settings(host=host, engine="tcp://127.0.0.1:8786"))
    require_way_home(Settings(host=host))


def test_an_address_of_its_own_is_a_way_home() -> None:
    require_way_home(Settings(host="10.1.2.3", engine="tls://scheduler:8786"))
