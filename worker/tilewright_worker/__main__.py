"""`python -m tilewright_worker`: the process of one attempt, whose LaunchOrder is the first line of standard input.

The order may come long after the start: until then everything is imported, and the evaluators' server runs. Standard
input ends when the process that launched it is gone, and so does this one. SIGTERM asks it to leave.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from tilewright.contract.attempts import LaunchOrder
from tilewright.errors import TilewrightError
from tilewright_tuning.fork_server import start_fork_server
from tilewright_tuning.pulse import Pulse
from tilewright_worker.exit_codes import OF_MOMENT

LEAVE_SECONDS = 8.0
"""After so long it is gone, whatever it waits for."""


def main() -> int:
    """An error that nobody expects ends the process with its traceback; the service then has it tried again."""
    # Before NumPy is loaded, here and in the evaluators: a BLAS with threads of its own would disturb measurements.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    start_fork_server()
    # Takes a second, as TVM does in the server, so not before that is under way.
    from tilewright_worker.attempt import carry_out
    from tilewright_worker.causes import PASSING

    line = sys.stdin.readline()
    if not line:
        return 0  # the worker ended before it had an order
    pulse = Pulse()
    leave_when_asked(pulse)
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    order = LaunchOrder.model_validate_json(line)
    try:
        return carry_out(order, Path(os.environ.get("TILEWRIGHT_LOGS_DIR", "tuning_logs")), pulse)
    except TilewrightError as error:
        print(f"job {order.job_id}, attempt {order.attempt}: {error}", file=sys.stderr)
        return OF_MOMENT if isinstance(error, PASSING) else 1


def leave_when_asked(pulse: Pulse) -> None:
    def leave(*_: object) -> None:
        pulse.stop()
        timer = threading.Timer(LEAVE_SECONDS, os._exit, (OF_MOMENT,))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, leave)


def end_with_parent() -> None:
    """Standard input ends when the launching process does, however it ended."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
