"""Design spaces: for each kind of convolution and ISA path, the schedules worth trying."""

from typing import Any

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule
from tilewright_kernels.conv2d.dense.space import DenseSpace
from tilewright_kernels.conv2d.depthwise.space import DepthwiseSpace
from tilewright_kernels.conv2d.few_channels.space import FewChannelsSpace
from tilewright_kernels.conv2d.generic.space import GenericSpace
from tilewright_kernels.conv2d.grouped.space import GroupedSpace
from tilewright_kernels.conv2d.kinds import KINDS
from tilewright_kernels.conv2d.space import Space, StructuredSpace

STRUCTURED: tuple[type[StructuredSpace[Any]], ...] = (FewChannelsSpace, DenseSpace, DepthwiseSpace, GroupedSpace)

SPACES: tuple[Space, ...] = (
    *(space(kind.isa) for kind in KINDS for space in STRUCTURED if issubclass(space, type(kind))),
    GenericSpace(),
)
"""All spaces; the first that covers a workload schedules it, and the generic one covers everything."""

__all__ = ["SPACES", "GenericSpace", "Space", "StructuredSpace", "space_named", "space_of", "structured_space"]


def space_of(workload: Workload, isa: Isa) -> Space:
    """The space that a workload is tuned in on this path."""
    return next(space for space in SPACES if space.covers(workload, isa))


def space_named(name: str) -> Space:
    """The space of a record. Raises ForeignSchedule for a name that this version does not know."""
    for space in SPACES:
        if space.name == name:
            return space
    raise ForeignSchedule(f"no space is named {name}; known: {', '.join(space.name for space in SPACES)}")


def structured_space(name: str) -> StructuredSpace[Any]:
    """The space of a choice. Raises ForeignSchedule where there is none of this name, or it has no choices."""
    space = space_named(name)
    if not isinstance(space, StructuredSpace):
        raise ForeignSchedule(f"the space {name} has no choices")
    return space
