"""What a structured space can choose, and what it expects of each choice. Nothing here, nor in the choices, tilings and
costs of a kind, imports TVM or NumPy: the service and light clients name the expected choice of a workload that nobody
has tuned.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, ClassVar, Generic, TypeVar

from tilewright.contract.candidates import Choice
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule
from tilewright_kernels.isa.paths import PATHS

Decisions = TypeVar("Decisions")
"""A frozen dataclass of a kind: one whole number for each decision."""


class ChoiceSpace(ABC, Generic[Decisions]):
    """The choices of one kind of convolution on one ISA path.

    A decision that is added later raises `version`, and `added` gives its value for choices of before.
    """

    kind: ClassVar[str]
    """Of convolution; with the path it is the name of the space."""
    version: ClassVar[int] = 1
    decisions: ClassVar[type[Any]]
    """The dataclass `Decisions` of this kind."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.dot = PATHS[isa].dot
        self.name = f"{self.kind}_{isa.value}"

    @abstractmethod
    def covers(self, workload: Workload, isa: Isa) -> bool:
        """Whether this space can schedule `workload` with the instructions of `isa`."""

    @abstractmethod
    def candidates(self, workload: Workload, target: Target) -> list[Decisions]:
        """All that are worth trying, the one expected to be best first."""

    @abstractmethod
    def fits(self, workload: Workload, target: Target, decisions: Decisions) -> bool:
        """Whether a kernel of `workload` can be built so: every factor divides, every index is in range."""

    @abstractmethod
    def expected_cost(self, workload: Workload, decisions: Decisions) -> float:
        """Relative cost by the kind's own simple model, in its own unit."""

    @abstractmethod
    def features(self, workload: Workload, target: Target, decisions: Decisions) -> list[float]:
        """What the cost model sees: the workload and the decisions in hardware terms."""

    def added(self, choice: Choice, workload: Workload, target: Target) -> Mapping[str, int]:
        """Values of the decisions that the version of `choice` did not know."""
        return {}

    def choice(self, decisions: Decisions) -> Choice:
        """As it is stored, sent and shared."""
        return Choice(space=self.name, version=self.version, decisions=asdict(decisions))  # type: ignore[call-overload]

    def read(self, choice: Choice, workload: Workload, target: Target) -> Decisions:
        """The decisions of a choice of this version or an earlier one.

        Raises ForeignSchedule for a choice of another space or a later version, for decisions that are missing or
        unknown, and for those that do not fit the workload.
        """
        if choice.space != self.name or choice.version > self.version:
            raise ForeignSchedule(
                f"a choice of {choice.space}, version {choice.version}; this is {self.name}, version {self.version}"
            )
        given = {**self.added(choice, workload, target), **choice.decisions}
        names = {field.name for field in fields(self.decisions)}
        if given.keys() != names:
            odd = ", ".join(sorted(given.keys() ^ names))
            raise ForeignSchedule(f"a choice of {self.name} with decisions missing or unknown: {odd}")
        decisions: Decisions = self.decisions(**given)
        if not self.fits(workload, target, decisions):
            raise ForeignSchedule(f"a choice of {self.name} that does not fit {workload.name}: {given}")
        return decisions
