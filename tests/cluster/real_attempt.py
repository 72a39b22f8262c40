"""A real attempt, as `python -m tilewright_worker` runs it, with what `noted_attempt.py` adds."""

import os
import sys

from tilewright_tuning.fork_server import start_fork_server
from tilewright_worker import __main__ as worker


def main() -> int:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    start_fork_server()  # before anything else takes time
    from .noted_attempt import install

    install()
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
