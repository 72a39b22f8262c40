"""Who asks: the name under which a service counts somebody's jobs. It is a courtesy among colleagues, not a proof."""

import getpass
import os
import unicodedata

HEADER = "Tilewright-User"
LONGEST_NAME = 64


def caller_name(given: str | None = None) -> str:
    """The given name, else TILEWRIGHT_USER, else the login name; "" where there is none.

    At most 64 printable ASCII characters without spaces, whatever it was.
    """
    if given is None:
        given = os.environ.get("TILEWRIGHT_USER") or _login_name()
    plain = "".join(each for each in unicodedata.normalize("NFKD", given) if not unicodedata.combining(each))
    ascii_only = "_".join(plain.split()).encode("ascii", "backslashreplace").decode("ascii")
    return "".join(filter(str.isprintable, ascii_only))[:LONGEST_NAME]


def caller_headers(name: str) -> dict[str, str]:
    """None for nobody."""
    return {HEADER: name} if name else {}


def _login_name() -> str:
    """A container may run as a number that no name belongs to."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
