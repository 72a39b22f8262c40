"""The `tilewright` command; one file a group of commands.

What only one command needs is imported inside it, so that `tilewright --help` does not wait for TVM or FastAPI.
"""


def main() -> None:
    from tilewright.cli.app import app

    app()
