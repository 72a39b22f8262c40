"""The other packages, found by entry points: the client imports none of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

from tilewright.errors import MissingPart

COMMANDS = "tilewright.commands"
KERNELS = "tilewright.kernels"


def commands() -> Iterator[tuple[str, Any]]:
    """Names of the commands that other packages bring along; each is a function, or a Typer app with commands of its
    own. Their modules import what they need when they are called: they are loaded for every `tilewright --help`.
    """
    for entry in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name):
        yield entry.name, entry.load()


def from_kernels(name: str) -> Callable[..., Any]:
    """A function of the kernels. Raises MissingPart where they are not installed."""
    with needing("kernels"):
        for entry in entry_points(group=KERNELS, name=name):
            function: Callable[..., Any] = entry.load()
            return function
    raise MissingPart("tilewright is not installed as a package: pip install 'tilewright[kernels]'")


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Around imports that only an extra makes possible. Raises MissingPart with what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingPart(
            f"this needs a part that is not installed ({error.name}): pip install 'tilewright[{extra}]'"
        ) from error
