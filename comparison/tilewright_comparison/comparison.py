"""A kernel against those of other libraries: the same values, the same input, the same cores, in turns.

What is fair, and why each side has a process of its own, is in docs/decisions/0013-fair-comparisons.md.
"""

import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tilewright.contract.candidates import Candidate
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_comparison.contestant import OURS, Contestant, ContestantFailed, Latency, Prepare
from tilewright_comparison.peers import CannotRestrict, environment
from tilewright_kernels.conv2d.numerics import Array, Quantization, as_nhwc
from tilewright_tuning.verification import random_data

ROUNDS = 15
MOST_WAITED = 0.02
"""A sample in which a side waited longer for a core, by the sample's time, was disturbed by other processes."""


@dataclass(frozen=True)
class Agreement:
    """How far a peer's results are ours."""

    is_equal: bool
    """Bit for bit, where scales are powers of two: every order of rounding then gives the same."""
    differing: float
    """Share of the elements that differ where scales are arbitrary."""
    most: int
    """By how much at most."""


@dataclass(frozen=True)
class PeerFigures:
    """How one peer did on a workload."""

    latency_us: float
    ratio: float
    """Above 1, ours is faster: the median over the rounds of its latency by ours."""
    agreement: Agreement


@dataclass(frozen=True)
class Comparison:
    """Latencies in us of the kernels alone: what a call costs besides is measured and taken off on every side."""

    ours_us: float
    peers: dict[str, PeerFigures]
    refused: dict[str, str]
    """Peers that cannot compute this workload, and why."""
    disturbed: float
    """Share of the rounds in which a side had to wait for a core; they count only where they are most."""


class Contest:
    """Our side and those of the peers, each in a process of its own."""

    def __init__(
        self,
        target: Target,
        cores: Collection[int],
        peers: Iterable[str],
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        """Start all sides on `cores`. `folders` has packages for single peers, which the others do not see."""
        self._ours = Contestant(OURS, target, cores, {})
        self._peers: dict[str, Contestant] = {}
        self.missing: dict[str, str] = {}
        """Peers that are left out, and why."""
        try:
            for name in peers:
                self._invite(name, target, cores, (folders or {}).get(name))
        except BaseException:  # a side that is stopped would never end by itself
            self.close()
            raise

    def _invite(self, name: str, target: Target, cores: Collection[int], folder: Path | None) -> None:
        try:
            self._peers[name] = Contestant(name, target, cores, environment(name, target), folder)
        except (ContestantFailed, CannotRestrict) as reason:
            self.missing[name] = str(reason)

    @property
    def versions(self) -> dict[str, str]:
        return {name: peer.version for name, peer in self._peers.items()}

    @property
    def pids(self) -> list[int]:
        """Of all sides, ours first."""
        return [side.pid for side in (self._ours, *self._peers.values())]

    def close(self) -> None:
        for side in (self._ours, *self._peers.values()):
            side.close()

    def __enter__(self) -> "Contest":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def compare(self, workload: Workload, candidate: Candidate, rounds: int = ROUNDS) -> Comparison:
        """Raises ContestantFailed when our own kernel does not run."""
        random = np.random.default_rng(7)
        x = random_data(workload, random)
        exact, typical = (
            Prepare(workload, values, x, candidate)
            for values in (exact_values(workload, random), typical_values(workload, random))
        )
        expected = [self._ours.prepare(order) for order in (exact, typical)]
        if workload.layout == "NCHW16c":
            expected = [as_nhwc(result, workload.layout) for result in expected]
        agreements: dict[str, Agreement] = {}
        refused: dict[str, str] = {}
        for name, peer in self._peers.items():
            try:
                results = [peer.prepare(for_peers(order)) for order in (exact, typical)]
            except ContestantFailed as reason:
                refused[name] = str(reason)
            else:
                agreements[name] = agreement(expected, results)
        latencies = self._in_turns(list(agreements), rounds)
        calm, disturbed = calm_rounds(latencies)
        ours = calm.pop(OURS)
        peers = {
            name: PeerFigures(
                median_us(theirs),
                statistics.median(b.kernel_us / a.kernel_us for a, b in zip(ours, theirs, strict=True)),
                agreements[name],
            )
            for name, theirs in calm.items()
        }
        return Comparison(median_us(ours), peers, refused, disturbed)

    def _in_turns(self, names: list[str], rounds: int) -> dict[str, list[Latency]]:
        sides = {OURS: self._ours, **{name: self._peers[name] for name in names}}
        latencies: dict[str, list[Latency]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                latencies[name].append(side.sample())
        return latencies


def for_peers(order: Prepare) -> Prepare:
    """No peer has NCHW16c: there it gets the same in NHWC."""
    if order.workload.layout != "NCHW16c":
        return order
    x = np.ascontiguousarray(as_nhwc(order.x, order.workload.layout))
    return replace(order, workload=order.workload.in_nhwc, x=x)


def agreement(expected: list[Array], results: list[Array]) -> Agreement:
    """Of results for `exact_values` and for `typical_values`."""
    exact, typical = (
        np.abs(ours.astype(int) - theirs.astype(int)) for ours, theirs in zip(expected, results, strict=True)
    )
    return Agreement(not exact.any(), float(np.mean(typical != 0)), int(typical.max()))


def calm_rounds(latencies: dict[str, list[Latency]]) -> tuple[dict[str, list[Latency]], float]:
    """The rounds in which no side waited for a core, or all where those are the fewer; and the share of the others."""
    rounds = list(zip(*latencies.values(), strict=True))
    calm = [index for index, latest in enumerate(rounds) if all(latency.waited < MOST_WAITED for latency in latest)]
    disturbed = 1 - len(calm) / len(rounds)
    if disturbed > 0.5:
        return dict(latencies), disturbed
    return {name: [samples[index] for index in calm] for name, samples in latencies.items()}, disturbed


def median_us(latencies: list[Latency]) -> float:
    return statistics.median(latency.kernel_us for latency in latencies)


def typical_values(workload: Workload, random: np.random.Generator) -> Quantization:
    """Random weights, and scales with which results spread over the output range."""
    scale = random.uniform(0.5, 2, workload.out_channels) / (80 * workload.reduction**0.5)
    return _values(workload, random, scale)


def exact_values(workload: Workload, random: np.random.Generator) -> Quantization:
    """The same with powers of two as scales: float32 then loses nothing before the rounding, in whatever order."""
    typical = np.exp2(np.floor(np.log2(1 / (80 * workload.reduction**0.5))))
    return _values(workload, random, typical * random.choice([1, 2], workload.out_channels))


def _values(workload: Workload, random: np.random.Generator, scale: Array) -> Quantization:
    # Even zero points: adding an odd one before rounding half to even is not adding it afterwards.
    zero_points = {"uint8": 120, "int8": -4}
    return Quantization(
        random.integers(-127, 128, workload.weight_shape).astype(np.int8),
        random.integers(-4000, 4000, workload.out_channels).astype(np.int32),
        scale.astype(np.float32),
        zero_points[workload.data_dtype],
        zero_points.get(workload.out_dtype, 0),
    )
