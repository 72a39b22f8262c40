"""Why an address gives no answer, as far as it can be told, and what to try."""

import socket
import ssl
from collections.abc import Iterator

import httpx2

from tilewright.errors import ClientError, ServerUnreachable, UnexpectedAnswer

NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL calls an answer that is not TLS, from version to version."""

PROBE_SECONDS = 1.0


def unreachable(url: str, error: httpx2.TransportError) -> ClientError:
    """`UnexpectedAnswer` where somebody answers and to repeat the request is of no use, else `ServerUnreachable`."""
    address = httpx2.URL(url)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = cause.verify_message
            return UnexpectedAnswer(
                f"the certificate of {url} is not trusted ({reason}): name its issuer in SSL_CERT_FILE"
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in NO_TLS:
            plain = address.copy_with(scheme="http")
            return UnexpectedAnswer(f"{url} answers, but does not speak TLS: try {plain}")
        if isinstance(cause, socket.gaierror):
            return ServerUnreachable(f"there is no host {address.host!r} ({cause.strerror}): look at TILEWRIGHT_URL")
    was_cut = isinstance(error, httpx2.ReadError | httpx2.RemoteProtocolError)
    if was_cut and address.scheme == "http" and _speaks_tls(address):
        return UnexpectedAnswer(f"{url} answers, but speaks TLS only: try {address.copy_with(scheme='https')}")
    reason = str(error) or type(error).__name__
    return ServerUnreachable(
        f"no service answers at {url} ({reason}); start one with `tilewright serve`, "
        "or set TILEWRIGHT_URL to the address of yours"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _speaks_tls(address: httpx2.URL) -> bool:
    """Whoever breaks off a connection without a word may have been waiting for a handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((address.host, address.port or 80), PROBE_SECONDS) as connection:
            context.wrap_socket(connection).close()
    except OSError:
        return False
    return True
