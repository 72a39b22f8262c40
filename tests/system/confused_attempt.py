"""Stands in for an attempt in the middle of which NumPy finds a bug, once; the rest is the real one."""

import sys

import numpy as np

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Publication
from tilewright.contract.schedules import Schedule
from tilewright_worker.__main__ import main

publish = AttemptClient.publish


def raise_once(self: AttemptClient, publication: Publication) -> Schedule:
    AttemptClient.publish = publish  # type: ignore[method-assign]
    np.zeros(3).reshape(2, 2)
    raise AssertionError("NumPy has found nothing")


if __name__ == "__main__":
    AttemptClient.publish = raise_once  # type: ignore[method-assign]
    sys.exit(main())
