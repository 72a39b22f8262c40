"""Attempts on other machines call the service: better no start than an address that leads them to themselves."""

import ipaddress
from urllib.parse import urlsplit

from tilewright.errors import CannotStart
from tilewright_service.settings import Settings
from tilewright_worker.scheduler import is_on_this_machine

SETTING = "TILEWRIGHT_PUBLIC_URL"


def require_way_home(settings: Settings) -> None:
    """Raises CannotStart where workers of an engine elsewhere could not call back."""
    if settings.engine is None or is_on_this_machine(settings.engine):
        return
    if settings.public_url is None:
        if _leads_nowhere(settings.host):
            raise CannotStart(
                f"workers of {settings.engine} would not find this service, which listens on {settings.host}: "
                f"set {SETTING} to its address as they reach it, such as http://tilewright.example:{settings.port}"
            )
    elif _leads_nowhere(urlsplit(settings.public_url).hostname or ""):
        raise CannotStart(
            f"workers of {settings.engine} would call themselves at {settings.public_url}: "
            f"set {SETTING} to the address of this service as they reach it"
        )


def _leads_nowhere(host: str) -> bool:
    """From another machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in ("", "localhost")
    return address.is_loopback or address.is_unspecified
