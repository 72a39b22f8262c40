"""`python -m tests.service.killed_migration URL N`: migrates, and dies of SIGKILL before statement N of it."""

import os
import signal
import sys
from itertools import count
from typing import Any

from sqlalchemy import Engine, event

from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade

numbers = count(1)


@event.listens_for(Engine, "before_cursor_execute")
def die_before(*details: Any) -> None:
    if next(numbers) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    upgrade(Database(sys.argv[1]))
    print(next(numbers) - 1)
