"""`python -m tests.service.killed_migration URL TEXT`: dies of SIGKILL before the statement with this text."""

import os
import signal
import sys
from typing import Any

from sqlalchemy import Engine, event

from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade


@event.listens_for(Engine, "before_cursor_execute")
def die_before(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    upgrade(Database(sys.argv[1]))
