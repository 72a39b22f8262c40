"""Which candidate to try next."""

from tilewright.contract.attempts import History
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.spaces import StructuredSpace, space_of
from tilewright_tuning.search.evolutionary import EvolutionarySearch
from tilewright_tuning.search.ranked import RankedSearch
from tilewright_tuning.search.search import Search

__all__ = ["Search", "search_for"]


def search_for(workload: Workload, target: Target, history: History, seed: int = 0) -> Search:
    """The search that suits the space of this workload; it starts from what `history` knows."""
    space = space_of(workload, target.isa)
    if isinstance(space, StructuredSpace):
        return RankedSearch(space, workload, target, history, seed)
    return EvolutionarySearch(workload, target, history.records, seed)
