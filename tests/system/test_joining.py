"""What keeps a service or a worker from joining an external scheduler is said in a sentence, without Dask's words."""

import datetime
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tilewright_worker.scheduler import TLS_SETTING

from ..environment import environment
from ..services import ServiceProcess
from ..terminal import TILEWRIGHT
from .running_scheduler import running_scheduler, running_worker

ROLES = {"serve": "CLIENT", "worker": "WORKER"}
NOT_LET_IN = "answers, but is no scheduler that lets this process in"


class Authority:
    """One certificate, which signs itself and is used by everybody, and its key."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "us")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
        self.certificate.write_bytes(certificate.public_bytes(pem))
        self.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))

    def settings(self, role: str) -> dict[str, str]:
        return {
            f"{TLS_SETTING}CA_FILE": str(self.certificate),
            f"{TLS_SETTING}{role}__CERT": str(self.certificate),
            f"{TLS_SETTING}{role}__KEY": str(self.key),
        }


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="module")
def tls_scheduler(ours: Authority) -> Iterator[str]:
    with running_scheduler("tls", {**os.environ, **ours.settings("SCHEDULER")}) as (url, _):
        yield url


@pytest.fixture
def web_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@contextmanager
def free_port() -> Iterator[int]:
    """Nobody is given it meanwhile, and somebody who asks for it by number has it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def listening_ports(process_id: int) -> set[int]:
    connections = psutil.Process(process_id).net_connections("tcp")
    return {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}


def refusal(command: str, engine: str, folder: Path, settings: dict[str, str]) -> str:
    options = ["--port", "0", "--data-dir", str(folder / "data")] if command == "serve" else []
    done = subprocess.run(
        [TILEWRIGHT, command, "--engine", engine, *options],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    return done.stderr


@pytest.mark.parametrize(("command", "role"), ROLES.items())
def test_the_settings_of_missing_certificates_are_named(command: str, role: str, tmp_path: Path) -> None:
    text = refusal(command, "tls://127.0.0.1:1", tmp_path, {})
    assert all(f"{TLS_SETTING}{name}" in text for name in ("CA_FILE", f"{role}__CERT", f"{role}__KEY"))


@pytest.mark.parametrize(("command", "role"), ROLES.items())
def test_the_setting_of_a_certificate_that_is_not_there_is_named(
    command: str, role: str, tmp_path: Path, ours: Authority
) -> None:
    settings = {**ours.settings(role), f"{TLS_SETTING}{role}__KEY": "/nowhere/key.pem"}
    text = refusal(command, "tls://127.0.0.1:1", tmp_path, settings)
    assert f"/nowhere/key.pem cannot be read (No such file or directory); {TLS_SETTING}{role}__KEY" in text


@pytest.mark.parametrize(("command", "role"), ROLES.items())
def test_a_key_of_another_certificate_is_refused(command: str, role: str, tmp_path: Path, ours: Authority) -> None:
    other = Authority(tmp_path / "other")
    settings = {**ours.settings(role), f"{TLS_SETTING}{role}__KEY": str(other.key)}
    assert "cannot be used" in refusal(command, "tls://127.0.0.1:1", tmp_path, settings)


@pytest.mark.parametrize(("command", "role"), ROLES.items())
def test_who_has_certificates_of_somebody_else_is_told_so(
    command: str, role: str, tmp_path: Path, tls_scheduler: str
) -> None:
    other = Authority(tmp_path / "other").settings(role)
    assert NOT_LET_IN in refusal(command, tls_scheduler, tmp_path, other)


def test_who_leaves_encryption_out_is_told_so(tmp_path: Path, tls_scheduler: str) -> None:
    assert NOT_LET_IN in refusal("worker", tls_scheduler.replace("tls", "tcp"), tmp_path, {})


def test_what_is_no_scheduler_is_not_taken_for_one(tmp_path: Path, web_server: str) -> None:
    assert NOT_LET_IN in refusal("serve", f"tcp://{web_server}", tmp_path, {})


def test_service_and_worker_meet_at_a_scheduler_with_certificates(
    tmp_path: Path, tls_scheduler: str, ours: Authority
) -> None:
    with (
        running_worker(tls_scheduler, {**os.environ, **ours.settings("WORKER")}),
        ServiceProcess(tmp_path, TILEWRIGHT_ENGINE=tls_scheduler, **ours.settings("CLIENT")) as service,
    ):
        assert service.url.startswith("http://127.0.0.1:")


def test_a_worker_listens_on_its_port_alone_and_has_it_for_itself(tmp_path: Path) -> None:
    with running_scheduler() as (url, _), free_port() as port:
        settings = {"TILEWRIGHT_WORKER_PORT": str(port), "TILEWRIGHT_LOCKS_DIR": str(tmp_path)}
        with running_worker(url, {**os.environ, **settings}) as worker:
            assert listening_ports(worker.pid) == {port}
            said = refusal("worker", url, tmp_path, settings)
            assert f"cannot listen on 127.0.0.1:{port}: " in said
            assert ("--port" in said, worker.poll()) == (True, None)


def test_a_worker_whose_scheduler_is_gone_waits_for_it_and_says_so() -> None:
    with running_scheduler() as (url, process), running_worker(url) as worker:
        process.terminate()
        process.communicate()
        assert worker.stdout is not None
        said = worker.stdout.readline()
        assert said == f"no scheduler answers at {url}; this worker waits for it, and joins as soon as it is there\n"
        worker.terminate()
        assert worker.communicate()[0] == ""
    assert worker.returncode == 0


def test_a_service_waits_for_its_scheduler_and_says_so(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, TILEWRIGHT_ENGINE="tcp://127.0.0.1:1"):
        said = (tmp_path / "service.log").read_text()
    assert said.startswith("tilewright serve: no scheduler answers at tcp://127.0.0.1:1 yet; jobs wait for it\n")


@pytest.mark.parametrize("command", ROLES)
def test_an_engine_in_clear_on_another_machine_is_refused(command: str, tmp_path: Path) -> None:
    said = refusal(command, "tcp://10.1.2.3:8786", tmp_path, {"TILEWRIGHT_PUBLIC_URL": "http://10.1.2.4:8000"})
    assert "`tilewright admin certificates DIR` makes what tls:// takes" in said


def test_a_service_that_workers_elsewhere_could_not_call_is_refused(tmp_path: Path) -> None:
    assert "set TILEWRIGHT_PUBLIC_URL to" in refusal("serve", "tls://10.1.2.3:8786", tmp_path, {})
