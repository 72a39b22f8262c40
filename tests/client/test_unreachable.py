"""What an address that gives no proper answer is told apart from, with real sockets and real certificates."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tilewright.errors import ServerUnreachable, TilewrightError, UnexpectedAnswer
from tilewright.http import Client

from .conftest import Reply, ScriptedServer

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Self-signed, with its key in the same file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).public_key(key.public_key())
    dated = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(dated.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM) + secret)
    return path


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port where every connection is handed to `answer`, and closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def refusal(url: str, kind: type[TilewrightError]) -> str:
    with Client(url, patience_seconds=0) as client, pytest.raises(kind) as caught:
        client.job(1)
    assert type(caught.value) is kind
    return str(caught.value)


def test_https_to_a_port_without_tls_is_told_to_try_http(server: ScriptedServer) -> None:
    url = server.url.replace("http", "https")
    assert refusal(url, UnexpectedAnswer) == f"{url} answers, but does not speak TLS: try {server.url}"


def test_http_to_a_port_with_tls_is_told_to_try_https(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with answering(lambda each: context.wrap_socket(each, server_side=True).recv(1)) as port:
        expected = f"http://127.0.0.1:{port} answers, but speaks TLS only: try https://127.0.0.1:{port}"
        assert refusal(f"http://127.0.0.1:{port}", UnexpectedAnswer) == expected
        message = refusal(f"https://127.0.0.1:{port}", UnexpectedAnswer)
        assert "is not trusted (self-signed certificate): name its issuer in SSL_CERT_FILE" in message


def test_a_port_that_breaks_off_and_speaks_no_tls_is_no_service() -> None:
    with answering(lambda each: each.recv(1)) as port:
        assert "tilewright serve" in refusal(f"http://127.0.0.1:{port}", ServerUnreachable)


def test_a_name_that_does_not_resolve_is_named() -> None:
    message = refusal("http://no-such-host.invalid:8000", ServerUnreachable)
    assert message.startswith("there is no host 'no-such-host.invalid' (")
    assert message.endswith("): look at TILEWRIGHT_URL")


@pytest.mark.parametrize("status", [400, 403, 404, 405, 422, 501])
def test_a_refusal_of_somebody_else_is_told_apart(server: ScriptedServer, status: int) -> None:
    server.replies(Reply(status, "<html>no</html>", "text/html"))
    message = refusal(server.url, UnexpectedAnswer)
    assert message.startswith(f"{server.url}/v1/jobs/1 answers, but not as a Tilewright service does: {status} ")


def test_who_answers_otherwise_is_not_healthy(server: ScriptedServer) -> None:
    server.replies(Reply(404, "<html>no</html>", "text/html"))
    assert not Client(server.url).is_healthy()
    assert not Client(server.url.replace("http", "https")).is_healthy()
