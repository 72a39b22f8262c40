"""One event per line, as JSON, on standard error: of this service, and of the libraries that log in Python's way."""

import logging
import sys
import time
from collections import OrderedDict
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

REPEATED_SECONDS = 60.0
"""So often the same complaint is written: a database that is away fails every round and every request."""

MOST_KNOWN = 256

Event = MutableMapping[str, Any]


def configure_logs() -> None:
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, Repetitions(), *last],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class Repetitions:
    """Lets an error or a warning through that was not there lately; the next one says how many were left out."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def __call__(self, _: Any, method: str, event: Event) -> Event:
        if method not in ("error", "warning"):
            return event
        key = (str(event.get("event")), str(event.get("error")))
        since, left_out = self._known.get(key, (float("-inf"), 0))
        if time.monotonic() - since < REPEATED_SECONDS:
            self._known[key] = (since, left_out + 1)
            raise structlog.DropEvent
        self._known[key] = (time.monotonic(), 0)
        self._known.move_to_end(key)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return {**event, "left_out": left_out} if left_out else event
