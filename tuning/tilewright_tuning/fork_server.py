"""The process that evaluators are forked from. It has imported TVM already, so one starts in 10 ms, not in a second."""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

PRELOADED = "tilewright_tuning.preload"


def fork_server() -> ForkServerContext:
    """How to start a process from it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    return context


def start_fork_server() -> None:
    """Have it import TVM now, while this process goes on, and not when the first evaluator is needed."""
    fork_server()
    forkserver.ensure_running()
