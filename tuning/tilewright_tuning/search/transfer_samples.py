"""What was measured of other workloads of the same space, for a search here to start from."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import log2
from typing import Any

from tilewright.contract.attempts import Neighbour
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule
from tilewright_kernels.conv2d.spaces import StructuredSpace


@dataclass(frozen=True)
class TransferSamples:
    """Choices of a workload and their latencies in us, the fastest first; at least one."""

    workload: Workload
    choices: list[Any]
    """Decisions, as the space reads them."""
    latencies_us: list[float]


def read_transfer_samples(
    space: StructuredSpace[Any], target: Target, neighbours: Sequence[Neighbour]
) -> list[TransferSamples]:
    """One for each neighbour of this space, in their order. Records that it cannot read are passed over."""
    samples = []
    for neighbour in neighbours:
        if not space.covers(neighbour.workload, target.isa):
            continue
        read = []
        for record in neighbour.records:
            with suppress(ForeignSchedule):
                decisions = space.read(record.choice, neighbour.workload, target)
                read.append((record.latency_us, decisions))
        if read:
            read.sort(key=lambda pair: pair[0])
            choices, latencies_us = [choice for _, choice in read], [us for us, _ in read]
            samples.append(TransferSamples(neighbour.workload, choices, latencies_us))
    return samples


def find_nearest(choice: Any, choices: Sequence[Any]) -> int:
    """Index of the choice that is the most like one of another workload, whose factors may not divide here."""
    return min(range(len(choices)), key=lambda index: _difference(choice, choices[index]))


def _difference(choice: Any, other: Any) -> float:
    """In octaves, over all decisions; one more than each, as some of them count from 0."""
    one, another = asdict(choice), asdict(other)
    return sum(abs(log2((one[name] + 1) / (another[name] + 1))) for name in one)
