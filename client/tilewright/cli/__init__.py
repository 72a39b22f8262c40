"""The `tilewright` command; one file a group of commands.

What only one command needs is imported inside it, so that `tilewright --help` does not wait for TVM or FastAPI.
"""

from tilewright.cli.interrupts import end_on_interrupt


def main() -> None:
    end_on_interrupt()
    from tilewright.cli.app import app

    app()
