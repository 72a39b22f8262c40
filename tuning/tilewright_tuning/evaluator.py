"""A process that builds and measures for us."""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

from tilewright.contract.candidates import Candidate
from tilewright_tuning.child_process import ChildProcess
from tilewright_tuning.evaluation import Evaluation


class Evaluator(ChildProcess[Evaluation]):
    """Knows what it has built for the workload at hand."""

    def __init__(self) -> None:
        super().__init__(Evaluation, fork_server())
        self.built: set[str] = set()

    def start(self) -> None:
        self.built.clear()
        super().start()

    def has_built(self, candidate: Candidate) -> bool:
        return self.is_alive and candidate.id in self.built


def start_fork_server() -> None:
    """Before an evaluator is needed: it takes a second to import TVM."""
    fork_server()
    forkserver.ensure_running()


def fork_server() -> ForkServerContext:
    """Evaluators start from a process that has imported TVM already: in 10 ms, not in a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tilewright_tuning.preload"])
    return context
