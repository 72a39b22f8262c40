"""Brings a database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from tilewright_service import migrations
from tilewright_service.store.database import Database


def upgrade(database: Database) -> None:
    with database.connection() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
