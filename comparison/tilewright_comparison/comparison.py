"""A kernel against those of other libraries: the same values, the same input, the same cores, interleaved.

What is fair, and why each library has a process of its own, is in docs/decisions/0013-fair-comparisons.md.
"""

import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tilewright.contract.candidates import Candidate
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_comparison.peer_process import OURS, Latency, PeerProcess
from tilewright_comparison.peers import CannotRestrict, environment
from tilewright_kernels.conv2d.numerics import Array
from tilewright_kernels.layouts.arrays import as_nhwc
from tilewright_tuning.child_process import CallFailed
from tilewright_tuning.test_inputs import exact_values, random_data, typical_values

ROUNDS = 15
MOST_WAITED = 0.02
"""A sample in which a process waited longer for a core, by the sample's time, was disturbed by other processes."""


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
class Refused:
    """A peer that cannot compute a workload."""

    reason: str


@dataclass(frozen=True)
class Compared:
    """Latencies in us of the kernels alone: what a call costs besides is measured and taken off everywhere."""

    ours_us: float
    outcomes: dict[str, PeerFigures | Refused]
    """By peer."""
    disturbed: float
    """Share of the rounds in which a process had to wait for a core; they count only where they are most."""

    @property
    def figures(self) -> dict[str, PeerFigures]:
        """Of the peers that computed it."""
        return {name: each for name, each in self.outcomes.items() if isinstance(each, PeerFigures)}

    @property
    def refusals(self) -> dict[str, str]:
        """Why the others did not."""
        return {name: each.reason for name, each in self.outcomes.items() if isinstance(each, Refused)}


class Comparison:
    """Our kernels and those of the peers, each in a process of its own."""

    def __init__(
        self,
        target: Target,
        cores: Collection[int],
        peers: Iterable[str],
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        """Start all processes on `cores`. `folders` has packages for single peers, which the others do not see."""
        self._ours = PeerProcess(OURS, target, cores, {})
        self._peers: dict[str, PeerProcess] = {}
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        """Peers that are left out, and why."""
        try:
            for name in peers:
                self._start_peer(name, target, cores, (folders or {}).get(name))
            self._await_peers()
        except BaseException:  # a process that is stopped would never end by itself
            self.close()
            raise

    def _start_peer(self, name: str, target: Target, cores: Collection[int], folder: Path | None) -> None:
        try:
            self._peers[name] = PeerProcess(name, target, cores, environment(name, target), folder)
        except CannotRestrict as reason:
            self.missing[name] = str(reason)

    def _await_peers(self) -> None:
        """All load at the same time, and are stopped from their first answer on."""
        self._ours.ask_version()
        for name, peer in list(self._peers.items()):
            try:
                self.versions[name] = peer.ask_version()
            except CallFailed as reason:
                self.missing[name] = str(reason)
                self._peers.pop(name).stop()

    @property
    def pids(self) -> list[int]:
        """Of all processes, ours first."""
        return [each.pid for each in (self._ours, *self._peers.values()) if each.pid is not None]

    def close(self) -> None:
        for process in (self._ours, *self._peers.values()):
            process.stop()

    def __enter__(self) -> "Comparison":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def compare(self, workload: Workload, candidate: Candidate, rounds: int = ROUNDS) -> Compared:
        """Raises CallFailed when our own kernel does not run."""
        random = np.random.default_rng(7)
        x = random_data(workload, random)
        values = [exact_values(workload, random), typical_values(workload, random)]
        expected = [in_layout_of_peers(workload, self._ours.prepare(workload, each, x, candidate)) for each in values]
        agreements: dict[str, Agreement] = {}
        outcomes: dict[str, PeerFigures | Refused] = {}
        for name, peer in self._peers.items():
            theirs, their_x = workload_of_peers(workload), in_layout_of_peers(workload, x)
            try:
                agreements[name] = agreement(expected, [peer.prepare(theirs, v, their_x, candidate) for v in values])
            except CallFailed as reason:
                outcomes[name] = Refused(str(reason))
        calm, disturbed = calm_rounds(self._take_samples(list(agreements), rounds))
        ours = calm.pop(OURS)
        for name, latencies in calm.items():
            ratios = [b.kernel_us / a.kernel_us for a, b in zip(ours, latencies, strict=True)]
            outcomes[name] = PeerFigures(median_us(latencies), statistics.median(ratios), agreements[name])
        return Compared(median_us(ours), outcomes, disturbed)

    def _take_samples(self, names: list[str], rounds: int) -> dict[str, list[Latency]]:
        """One of each in each round."""
        processes = {OURS: self._ours, **{name: self._peers[name] for name in names}}
        latencies: dict[str, list[Latency]] = {name: [] for name in processes}
        for _ in range(rounds):
            for name, process in processes.items():
                latencies[name].append(process.take_sample())
        return latencies


def workload_of_peers(workload: Workload) -> Workload:
    """No peer has NCHW16c: there it gets the same in NHWC."""
    return workload.in_nhwc if workload.layout == "NCHW16c" else workload


def in_layout_of_peers(workload: Workload, activations: Array) -> Array:
    """Data or results of a workload, in the layout that peers get."""
    if workload.layout != "NCHW16c":
        return activations
    return np.ascontiguousarray(as_nhwc(activations, workload.layout))


def agreement(expected: list[Array], results: list[Array]) -> Agreement:
    """Of results for `exact_values` and for `typical_values`."""
    exact, typical = (
        np.abs(ours.astype(int) - theirs.astype(int)) for ours, theirs in zip(expected, results, strict=True)
    )
    return Agreement(not exact.any(), float(np.mean(typical != 0)), int(typical.max()))


def calm_rounds(latencies: dict[str, list[Latency]]) -> tuple[dict[str, list[Latency]], float]:
    """The rounds in which no process waited for a core, or all where those are fewer; and the share of the others."""
    rounds = list(zip(*latencies.values(), strict=True))
    calm = [index for index, latest in enumerate(rounds) if all(latency.waited < MOST_WAITED for latency in latest)]
    disturbed = 1 - len(calm) / len(rounds)
    if disturbed > 0.5:
        return dict(latencies), disturbed
    return {name: [samples[index] for index in calm] for name, samples in latencies.items()}, disturbed


def median_us(latencies: list[Latency]) -> float:
    return statistics.median(latency.kernel_us for latency in latencies)
