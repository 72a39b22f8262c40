"""Stands in for the first attempt of a job, in the middle of which NumPy finds a bug; later ones are the real one."""

import sys

import numpy as np

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import RecordBatch, Stored
from tilewright_worker.__main__ import main

send_records = AttemptClient.send_records


def raise_in_first_attempt(self: AttemptClient, batch: RecordBatch) -> Stored:
    stored = send_records(self, batch)
    if self.order.attempt == 1:
        np.zeros(3).reshape(2, 2)
    return stored


if __name__ == "__main__":
    AttemptClient.send_records = raise_in_first_attempt  # type: ignore[method-assign]
    sys.exit(main())
