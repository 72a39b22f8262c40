"""`python -m tilewright_worker.child_main PARENT MODULE`: does as `python -m MODULE`, and ends with PARENT.

In a process that has threads, nothing may run between fork and exec; so this comes after both.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, module = int(sys.argv[1]), sys.argv[2]
    # The parent is the thread that started it, and which waits for it as long as its process lives.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it ended before that
    sys.argv[1:] = []
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
