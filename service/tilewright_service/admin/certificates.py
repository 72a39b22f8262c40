"""`tilewright admin certificates DIR`: what an engine on several machines takes to speak TLS."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tilewright.errors import CannotStart
from tilewright.parts import needing

ROLES = {"service": "CLIENT", "worker": "WORKER", "scheduler": "SCHEDULER"}
"""Whose certificate it is, and as what Dask knows him."""
COMMANDS = {
    "service": "tilewright serve --engine tls://SCHEDULER:8786",
    "worker": "tilewright worker --engine tls://SCHEDULER:8786",
    "scheduler": "dask scheduler --protocol tls --port 8786 --no-dashboard",
}
TLS_SETTING = "DASK_DISTRIBUTED__COMM__TLS__"


def certificates(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Gets the files; nothing in it is overwritten.")],
) -> None:
    """Make the certificates of an engine on several machines, and say how each of them is told.

    They are valid for ten years. The authority's key is kept nowhere: for new certificates make all anew.
    """
    write_certificates(directory)
    for role in ROLES:
        typer.echo(f"# {role}: copy ca.pem, {role}.pem and {role}-key.pem to its machine, then set there")
        for name, value in settings_of(role, directory).items():
            typer.echo(f"export {name}={value}")
        typer.echo(f"{COMMANDS[role]}\n")


def write_certificates(directory: Path) -> None:
    """Files of the authority and of each role, which only their owner reads. Raises CannotStart."""
    with needing("service"):
        from tilewright_service.certificates import Authority

    authority = Authority()
    files = {"ca.pem": authority.certificate}
    for role in ROLES:
        issued = authority.issue(role)
        files |= {f"{role}.pem": issued.certificate, f"{role}-key.pem": issued.key}
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_to_overwrite(directory, files)
        for name, text in files.items():
            _write(directory / name, text)
    except OSError as error:
        raise CannotStart(f"{error.filename or directory} cannot be written ({error.strerror})") from error


def settings_of(role: str, directory: Path) -> dict[str, str]:
    """The environment variables of a process of this role."""
    folder, known_as = directory.absolute(), ROLES[role]
    return {
        f"{TLS_SETTING}CA_FILE": str(folder / "ca.pem"),
        f"{TLS_SETTING}{known_as}__CERT": str(folder / f"{role}.pem"),
        f"{TLS_SETTING}{known_as}__KEY": str(folder / f"{role}-key.pem"),
    }


def _refuse_to_overwrite(directory: Path, names: dict[str, str]) -> None:
    for name in names:
        if os.path.lexists(directory / name):
            raise CannotStart(f"{directory / name} is there already, and is not overwritten; choose another directory")


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
