"""Which database is meant, as for `tilewright serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from tilewright.errors import InvalidRequest

if TYPE_CHECKING:
    from tilewright_service.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="That of the service, with the SQLite database; or TILEWRIGHT_DATA_DIR.",
        show_default="~/.local/share/tilewright",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="postgresql://...; or TILEWRIGHT_DATABASE.", show_default="SQLite in the data directory"
    ),
]
BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
TargetUrl = Annotated[str, typer.Argument(metavar="URL", help="postgresql://... or sqlite:////absolute/path.db")]


def settings_of(data_dir: Path | None, database: str | None) -> "Settings":
    from tilewright_service.settings import Settings

    given: dict[str, Any] = {"data_dir": data_dir, "database": database}
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise InvalidRequest.from_validation(error, Settings) from error
