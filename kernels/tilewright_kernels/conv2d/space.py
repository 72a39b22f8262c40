# mypy: disable-error-code="no-any-unimported"
"""What every design space offers to the search."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Quantization

Choice = Mapping[str, Any]
"""One value for each decision of a space, such as `{"rows": [28, 2], "order": 1}`: enough to build a candidate."""


class Space(ABC):
    """The candidate schedules of one kind of convolution on one ISA path.

    A space owns the definition of the kernel (its PrimFunc and the layout of its constants), so a trace means
    something only together with the name of its space.
    """

    name: str

    @abstractmethod
    def covers(self, workload: Workload, isa: Isa) -> bool:
        """Whether this space can schedule `workload` with the instructions of `isa`."""

    @abstractmethod
    def define(self, workload: Workload) -> Any:
        """The PrimFunc. Its arguments: data, weight, bias, scale, data_zero_point, output, addition, residual, out."""

    @abstractmethod
    def constants(self, workload: Workload, values: Quantization) -> list[Any]:
        """The arrays between data and `output`, packed as the definition wants them."""

    @abstractmethod
    def schedule_default(self, sch: Any, workload: Workload, target: Target) -> None:
        """What is used before anything was tuned."""


class StructuredSpace(Space):
    """A space small enough to write down: its choices can be listed, and each has a description in numbers."""

    @abstractmethod
    def choices(self, workload: Workload, target: Target) -> Sequence[Choice]:
        """Every choice worth trying, the one expected to be best first."""

    @abstractmethod
    def schedule(self, sch: Any, workload: Workload, target: Target, choice: Choice | None = None) -> None:
        """Apply `choice`; without one MetaSchedule samples, so this is its ScheduleFn too."""

    def schedule_default(self, sch: Any, workload: Workload, target: Target) -> None:
        self.schedule(sch, workload, target, self.choices(workload, target)[0])

    @abstractmethod
    def choice_of(self, decisions: Sequence[Any], target: Target) -> Choice | None:
        """The choice that `schedule` took these decisions for, of whatever workload; None if it cannot have.

        `decisions` are the second half of a stored trace. They may be foreign: nothing is assumed of their shape.
        """

    @abstractmethod
    def features(self, workload: Workload, target: Target, choice: Choice) -> list[float]:
        """What the cost model sees: the workload and the choice in hardware terms."""
