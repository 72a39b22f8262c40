"""Stands in for an attempt. The path of the address in its order is its script."""

import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

from tilewright.contract.attempts import LaunchOrder


def main() -> int:
    line = sys.stdin.readline()
    if not line:
        return 0
    order = LaunchOrder.model_validate_json(line)
    folder = os.environ["TILEWRIGHT_LOGS_DIR"]
    with open(f"{folder}/launches", "a") as launches:
        launches.write(f"{order.job_id} {order.attempt} {os.getpid()}\n")
    match urlsplit(order.url).path:
        case "/exit":
            print("it ends as it was told", file=sys.stderr)
            return 7
        case "/leaves":
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        case "/stays":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "/family":
            subprocess.Popen(["sleep", "600"])
    time.sleep(600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
