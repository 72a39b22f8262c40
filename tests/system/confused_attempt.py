"""Stands in for the first attempt of a job, in the middle of which NumPy finds a bug; later ones are the real one."""

import sys

import numpy as np

from tilewright.contract.workload import Workload
from tilewright_tuning.trials import Trial
from tilewright_worker.__main__ import main
from tilewright_worker.attempt import Attempt

store_trial = Attempt._store_trial


def raise_in_first_attempt(self: Attempt, workload: Workload, trial: Trial) -> None:
    store_trial(self, workload, trial)
    if self._order.attempt == 1:
        np.zeros(3).reshape(2, 2)


if __name__ == "__main__":
    Attempt._store_trial = raise_in_first_attempt  # type: ignore[method-assign]
    sys.exit(main())
