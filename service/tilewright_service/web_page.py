"""HTML for people who open the address of the service: no script, nothing from another host, every value escaped."""

import hashlib
import re
from base64 import b64encode
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tilewright import __version__

UNKNOWN_ADDRESS = "http://HOST:PORT"
PLAIN_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")
"""What a reader may have typed; anything else does not belong into a command."""


def web_page(template: str, **values: Any) -> Response:
    return HTMLResponse(_TEMPLATES.get_template(template).render(version=__version__, **values), headers=_HEADERS)


def typed_address(request: Request) -> str:
    """This service as the reader knows it, for commands to copy."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host}" if PLAIN_HOST.fullmatch(host) else UNKNOWN_ADDRESS


def as_prose(text: str) -> Markup:
    """Paragraphs, with code between backticks."""
    paragraphs = [re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(each))) for each in text.split("\n\n") if each]
    return Markup("".join(f"<p>{each}</p>" for each in paragraphs))


def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("tilewright_service"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["prose"] = as_prose
    return templates


def _headers(style: str) -> dict[str, str]:
    """One style sheet, known by its digest, is all that a page may use."""
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = ("default-src 'none'", f"style-src 'sha256-{digest}'", "img-src data:", "base-uri 'none'")
    return {
        "Content-Security-Policy": "; ".join((*rules, "form-action 'none'", "frame-ancestors 'none'")),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


_TEMPLATES = _templates()
_STYLE = _TEMPLATES.get_template("style.css").render()
_TEMPLATES.globals["style"] = Markup(_STYLE)
_HEADERS = _headers(_STYLE)
