"""The kinds of convolution that have choices, and what each expects; no TVM here, so that services can ask, too."""

from typing import Any

from tilewright.contract.candidates import Choice
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.choices import ChoiceSpace
from tilewright_kernels.conv2d.dense.choices import DenseChoices
from tilewright_kernels.conv2d.depthwise.choices import DepthwiseChoices
from tilewright_kernels.conv2d.few_channels.choices import FewChannelsChoices
from tilewright_kernels.conv2d.grouped.choices import GroupedChoices
from tilewright_kernels.isa.paths import PATHS

KINDS: tuple[ChoiceSpace[Any], ...] = (
    *(FewChannelsChoices(isa) for isa in Isa),
    *(DenseChoices(isa) for isa in Isa),
    *(DepthwiseChoices(isa) for isa, path in PATHS.items() if path.dot.multiplies_bytes and path.dot.vectors.narrowing),
    *(GroupedChoices(isa) for isa, path in PATHS.items() if path.dot.multiplies_bytes),
)
"""In the order in which they are asked; what none of them covers is left to the generic space."""


def expected_choice(workload: Workload, target: Target) -> Choice | None:
    """The choice that is expected to be best before anything is measured; None for the generic space."""
    kind = next((kind for kind in KINDS if kind.covers(workload, target.isa)), None)
    return None if kind is None else kind.choice(kind.candidates(workload, target)[0])
