"""Which candidate to try next."""

from collections.abc import Callable

from tilewright.contract.attempts import History
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.spaces import StructuredSpace, space_of
from tilewright_tuning.pulse import Pulse
from tilewright_tuning.search.generic import GenericSearch
from tilewright_tuning.search.ranked import RankedSearch
from tilewright_tuning.search.search import Search

__all__ = ["Search", "search_for"]


def search_for(
    workload: Workload,
    target: Target,
    history: History,
    seed: int = 0,
    pulse: Pulse | None = None,
    on_crash: Callable[[str], None] = lambda candidate_id: None,
) -> Search:
    """The search that suits the space of this workload; it starts from what `history` knows.

    `on_crash` hears the ids of known candidates of which a process died.
    """
    space = space_of(workload, target.isa)
    if isinstance(space, StructuredSpace):
        return RankedSearch(space, workload, target, history, seed)
    return GenericSearch(workload, target, history.records, seed, pulse, on_crash)
