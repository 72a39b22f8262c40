"""`tilewright worker`: found by its entry point; imports what it needs when it is called."""

from typing import Annotated

import typer

from tilewright.parts import needing


def worker(
    engine: Annotated[
        str,
        typer.Option(metavar="URL", envvar="TILEWRIGHT_ENGINE", help="The scheduler, such as tls://scheduler:8786."),
    ],
) -> None:
    """Let this machine measure for a service elsewhere. Ctrl-C ends it."""
    with needing("worker"):
        import xgboost  # noqa: F401  (it would be missed only in the first attempt)

        from tilewright_worker.host_worker import run

    raise typer.Exit(run(engine))


worker.epilog = "[bold]Example[/]  tilewright worker --engine tls://scheduler:8786"  # type: ignore[attr-defined]
