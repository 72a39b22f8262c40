"""`tilewright demo`: found by its entry point; imports what it needs when it is called."""

import signal
import sys

import typer

from tilewright.cli.interrupts import interruptible, on_signal
from tilewright.cli.options import AsJson
from tilewright.cli.output import console
from tilewright.parts import needing


def demo(as_json: AsJson = False) -> None:
    """Tune ResNet-18 on a throw-away service, and compare the kernels with ONNX Runtime's."""
    with needing("all"):
        from tilewright_comparison.demo import run

    on_signal(signal.SIGTERM, _leave)
    with interruptible():
        raise typer.Exit(run(console(), as_json))


def _leave(number: int, _: object) -> None:
    """The service that the demo started ends with it."""
    sys.exit(128 + number)


demo.epilog = "[bold]Example[/]  tilewright demo"  # type: ignore[attr-defined]
