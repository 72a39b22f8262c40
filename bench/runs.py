"""What came of a run of layers.py: its file, and what can be concluded from it."""

import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from limits import Level, Roofline
from pydantic import TypeAdapter

from tilewright.contract.target import Target
from tilewright_comparison.comparison import PeerFigures


@dataclass(frozen=True)
class Layer:
    """What came of one convolution. Latencies in us, rates in 10^9 multiply-adds per second."""

    name: str
    kind: str
    """first, dense, grouped or depthwise."""
    space: str
    occurrences: int
    macs: int
    trials: int
    tuning_seconds: float
    latency_us: float
    gmacs: float
    peak_gmacs: float
    """Of all threads together, measured right before the comparison: the clock wanders by some 4% within minutes."""
    share_of_peak: float
    roofline: Roofline
    share_of_roofline: float
    peers: dict[str, PeerFigures]
    refused: dict[str, str]
    disturbed: float
    """Share of the rounds of the comparison in which a side waited for a core; they do not count."""


@dataclass(frozen=True)
class Run:
    """One network on one target, with what is needed to read its figures."""

    network: str
    batch: int
    target: Target
    measured_at: str
    host_class: str
    cpu_model: str
    versions: dict[str, str]
    missing: dict[str, str]
    """Peers that were left out, and why."""
    peak_gmacs: float
    """Of all threads together, at the start of the run: the measured one of a core, times the threads."""
    levels: list[Level]
    layers: list[Layer]

    @property
    def title(self) -> str:
        threads = self.target.threads
        return f"{self.network}, batch {self.batch}, {threads} thread{'s' * (threads > 1)}, {self.target.isa}"


def read(file: Path) -> Run:
    return TypeAdapter(Run).validate_json(file.read_bytes())


def as_json(run: Run) -> str:
    return json.dumps(asdict(run), indent=1, default=lambda message: message.model_dump(mode="json"))


def conclusions(layers: list[Layer], peer: str) -> dict[str, str]:
    """What the acceptance asks for, in words, for the layers that the peer computed."""
    compared = [(layer, layer.peers[peer].ratio) for layer in layers if peer in layer.peers]
    if not compared:
        return {}
    slowest, lowest = min(compared, key=lambda pair: pair[1])
    found = {
        "faster on": f"{sum(ratio > 1 for _, ratio in compared)} of {len(compared)} layers",
        "geometric mean of the ratio": f"{geomean(ratio for _, ratio in compared):.3f}",
        "lowest ratio": f"{lowest:.3f} ({slowest.name})",
    }
    for kind in ("first", "depthwise"):
        if ratios := [ratio for layer, ratio in compared if layer.kind == kind]:
            found[f"{kind} layer{'s' * (len(ratios) > 1)}"] = f"{geomean(ratios):.3f}, lowest {min(ratios):.3f}"
    return found


def is_compute_bound(layer: Layer) -> bool:
    return layer.kind == "dense" and layer.roofline.bound == "compute"


def geomean(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))
