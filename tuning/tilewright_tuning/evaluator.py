"""A process that builds and measures for us."""

from tilewright.contract.candidates import Candidate
from tilewright_tuning.child_process import ChildProcess
from tilewright_tuning.evaluation import Evaluation
from tilewright_tuning.fork_server import fork_server
from tilewright_tuning.limits import Limits


class Evaluator(ChildProcess[Evaluation]):
    """Knows what it has built for the workload at hand."""

    def __init__(self) -> None:
        super().__init__(Evaluation, fork_server(), limits=Limits.of_this_host())
        self.built: set[str] = set()

    def start(self) -> None:
        self.built.clear()
        super().start()

    def has_built(self, candidate: Candidate) -> bool:
        return self.is_alive and candidate.id in self.built
