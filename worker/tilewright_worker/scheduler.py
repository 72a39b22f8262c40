"""Where a Dask scheduler is, and the certificates that `tls://` needs."""

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from tilewright.errors import CannotStart

if TYPE_CHECKING:
    from distributed.security import Security

SCHEMES = ("tls://", "tcp://")
TLS_SETTING = "DASK_DISTRIBUTED__COMM__TLS__"
INSECURE_SETTING = "TILEWRIGHT_INSECURE_ENGINE"
CONNECT_SECONDS = 5

Role = Literal["client", "worker"]
"""As Dask calls them: a service is a client of its scheduler."""


def check_scheduler_url(url: str) -> str:
    """The same. Raises ValueError."""
    if not url.startswith(SCHEMES):
        raise ValueError(f"{url!r} has to begin with tls:// or tcp://, such as tls://scheduler:8786")
    if not all(host_and_port(url)):
        raise ValueError(f"{url!r} has to name a host and a port, such as tls://scheduler:8786")
    return url


def is_on_this_machine(url: str) -> bool:
    """Whether what listens there is reached from this machine alone."""
    host, _ = host_and_port(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_private(url: str, is_insecure: bool) -> None:
    """Whoever reads along takes tokens, and whoever joins gets work. Raises CannotStart."""
    if url.startswith("tcp://") and not is_on_this_machine(url) and not is_insecure:
        raise CannotStart(
            f"{url} is not encrypted, and leads to another machine: `tilewright admin certificates DIR` makes what "
            f"tls:// takes; where nobody else is on that network, {INSECURE_SETTING}=1 (--insecure-engine) allows it"
        )


def address_towards(url: str) -> str:
    """Of this machine, as the scheduler's sees it. Raises OSError when there is no way."""
    host, port = host_and_port(url)
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(address)  # nothing is sent
        own: str = probe.getsockname()[0]
    return f"[{own}]" if ":" in own else own


def host_and_port(url: str) -> tuple[str, int]:
    """With "" and 0 for what is not there."""
    parts = urlsplit(url)
    try:
        return parts.hostname or "", parts.port or 0
    except ValueError:
        return parts.hostname or "", 0


def is_listening(url: str) -> bool:
    try:
        socket.create_connection(host_and_port(url), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def security_of(url: str, role: Role) -> "Security":
    """With the certificates that are set up for Dask. Raises CannotStart where `tls://` has none that can be read."""
    from distributed.security import Security

    security = Security()
    if url.startswith("tls://"):
        _require_certificates(url, security.get_tls_config_for_role(role), role)
        try:
            security.get_connection_args(role)
        except OSError as error:
            raise CannotStart(
                f"the certificates for {url} cannot be used ({error}); {_setting('CA_FILE')}, "
                f"{_setting(role, 'CERT')} and {_setting(role, 'KEY')} name them"
            ) from error
    return security


def require_scheduler(url: str, security: "Security", role: Role) -> None:
    """That who listens there is one, and lets us in. Raises CannotStart."""
    try:
        asyncio.run(_ask_identity(url, security, role))
    except (OSError, TimeoutError, RuntimeError, ValueError) as error:
        raise CannotStart(
            f"{url} answers, but is no scheduler that lets this process in: is it tls:// or tcp:// there, "
            "and do its certificates come from the same authority?"
        ) from error


async def _ask_identity(url: str, security: "Security", role: Role) -> None:
    from distributed import rpc

    async with (
        asyncio.timeout(CONNECT_SECONDS),
        rpc(url, connection_args=security.get_connection_args(role)) as scheduler,
    ):
        await scheduler.identity()


def _require_certificates(url: str, files: dict[str, str | None], role: Role) -> None:
    settings = {"ca_file": _setting("CA_FILE"), "cert": _setting(role, "CERT"), "key": _setting(role, "KEY")}
    missing = [settings[name] for name in ("ca_file", "cert") if not files[name]]
    if missing:
        raise CannotStart(
            f"{url} needs certificates: set {' and '.join(missing)} to files in PEM format, "
            f"and {settings['key']} where the key is not in the file of its certificate"
        )
    for name, setting in settings.items():
        _require_readable(files[name], setting)


def _require_readable(file: str | None, setting: str) -> None:
    if file is None or "\n" in file:  # Dask takes the certificate itself, too
        return
    try:
        open(file, "rb").close()
    except OSError as error:
        raise CannotStart(f"{file} cannot be read ({error.strerror}); {setting} names it") from error


def _setting(*path: str) -> str:
    return TLS_SETTING + "__".join(path).upper()
