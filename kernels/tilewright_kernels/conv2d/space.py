"""What every design space offers to the search."""

from abc import ABC, abstractmethod

from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.choices import ChoiceSpace, Decisions
from tilewright_kernels.conv2d.numerics import Array, Quantization


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
    def define(self, workload: Workload) -> PrimFunc:
        """Its arguments: data, weight, bias, scale, data_zero_point, output, addition, residual, out."""

    @abstractmethod
    def constants(self, workload: Workload, values: Quantization) -> list[Array]:
        """The arrays between data and `output`, packed as the definition wants them."""

    @abstractmethod
    def schedule_default(self, sch: Schedule, workload: Workload, target: Target) -> None:
        """What is used before anything was tuned."""


class StructuredSpace(Space, ChoiceSpace[Decisions]):
    """A space small enough to write down: its choices can be listed, and each has a description in numbers."""

    @abstractmethod
    def schedule(self, sch: Schedule, workload: Workload, target: Target, choice: Decisions | None = None) -> None:
        """Apply `choice`; without one MetaSchedule samples, so this is its ScheduleFn too."""

    def schedule_default(self, sch: Schedule, workload: Workload, target: Target) -> None:
        self.schedule(sch, workload, target, self.candidates(workload, target)[0])
