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

KINDS = ("first", "dense", "grouped", "depthwise")


@dataclass(frozen=True)
class Layer:
    """What came of one convolution. Latencies in us, rates in 10^9 multiply-adds per second."""

    name: str
    kind: str
    """One of KINDS."""
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
    """Share of the rounds of the comparison in which a process waited for a core; they do not count."""


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


@dataclass(frozen=True)
class Ratios:
    """Over some layers: the latency of a peer by ours."""

    mean: float
    """Geometric."""
    lowest: float
    slowest: str
    """The layer that has the lowest."""

    def __str__(self) -> str:
        return f"geometric mean of the ratio {self.mean:.3f}, lowest {self.lowest:.3f} ({self.slowest})"


@dataclass(frozen=True)
class PeerSummary:
    """How ours did against one peer, over the layers that the peer computed."""

    layers: int
    faster: int
    """On so many of them ours is faster."""
    ratios: Ratios
    by_kind: dict[str, Ratios]


def compare_with(peer: str, layers: list[Layer]) -> PeerSummary | None:
    """None where the peer computed no layer."""
    compared = [layer for layer in layers if peer in layer.peers]
    if not compared:
        return None
    by_kind = {kind: [layer for layer in compared if layer.kind == kind] for kind in KINDS}
    return PeerSummary(
        layers=len(compared),
        faster=sum(layer.peers[peer].ratio > 1 for layer in compared),
        ratios=ratios_to(peer, compared),
        by_kind={kind: ratios_to(peer, some) for kind, some in by_kind.items() if some},
    )


def ratios_to(peer: str, layers: list[Layer]) -> Ratios:
    slowest = min(layers, key=lambda layer: layer.peers[peer].ratio)
    mean = geomean(layer.peers[peer].ratio for layer in layers)
    return Ratios(mean, slowest.peers[peer].ratio, slowest.name)


def is_compute_bound(layer: Layer) -> bool:
    return layer.kind == "dense" and layer.roofline.bound == "compute"


def geomean(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))
