"""Threads as a user calls them: a plain Python process, nothing pinned, pauses between the calls.

    python -m bench.threads [--rounds 5] [--json FILE]

One layer, 3x3 from 64 to 64 channels at 56x56, is tuned for one and for two threads. Then processes of ours and of ONNX
Runtime take turns, one at a time: after each pause, how long do the first call and the next nine take? And how many
calls a second do two such processes make together, on the same cores at the same time? Exits with 1 where two threads
are slower than ONNX Runtime's, by more than two runs of the same differ.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from tilewright.contract.candidates import Candidate
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload
from tilewright_comparison.peers import PEERS, Runnable
from tilewright_kernels.isa.host import this_host
from tilewright_tuning.budget import Budget
from tilewright_tuning.cores import Cores
from tilewright_tuning.pool import EvaluatorPool
from tilewright_tuning.test_inputs import random_data, typical_values
from tilewright_tuning.tuning import NOTHING_KNOWN, tune

LAYER = Workload(
    batch=1, in_channels=64, height=56, width=56, out_channels=64, kernel_size=(3, 3), padding=(1, 1, 1, 1)
)
OURS, PEER = "tilewright", "onnx_runtime"
TRIALS = 40
THREADS = (1, 2)
PAUSES_MS = (0, 1, 5, 20, 100)
BURSTS, CALLS = 20, 10
TIE = 0.03
"""By so much the medians of two runs of the same library differ."""

TOGETHER_SECONDS = 3.0


@dataclass(frozen=True)
class Caller:
    """What a process calls."""

    library: str
    threads: int
    candidate: Candidate | None
    """Of ours."""

    def make_conv(self) -> Runnable:
        random = np.random.default_rng(7)
        values, x = typical_values(LAYER, random), random_data(LAYER, random)
        if self.library == OURS:
            from tilewright_comparison.peers.ours import OurConv  # TVM, which no other library should meet

            conv: Runnable = OurConv(LAYER, target_of(self.threads), values, self.candidate)
        else:
            conv = PEERS[self.library].load()(LAYER, values, self.threads)
        conv.bind(x)
        conv.run()
        return conv


@dataclass(frozen=True)
class Figures:
    """Medians over all bursts of all rounds, in us."""

    library: str
    threads: int
    pause_ms: int
    first_us: float
    following_us: float
    """Of one of the calls after the first."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    host_class: str
    cpu_model: str
    measured_at: str
    layer: str
    figures: list[Figures]
    calls_together: dict[str, float]
    """Calls a second of two processes at the same time, by library."""


def read(file: Path) -> Outcome:
    return TypeAdapter(Outcome).validate_json(file.read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--call", choices=["bursts", "together"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.call:
        return call(options.call)
    if len(os.sched_getaffinity(0)) < max(THREADS):
        raise SystemExit(f"this takes {max(THREADS)} cores")
    callers = [*map(tune_caller, THREADS), *(Caller(PEER, threads, None) for threads in THREADS)]
    figures = measure_bursts(callers, options.rounds)
    show(figures)
    together = measure_together([each for each in callers if each.threads == max(THREADS)], options.rounds)
    for library, calls in together.items():
        print(f"{library}, two processes at the same time: {calls:.0f} calls a second together")
    if options.json:
        measured_at = datetime.now(UTC).isoformat(timespec="seconds")
        host = this_host()
        outcome = Outcome(host.host_class, host.cpu_model, measured_at, LAYER.name, figures, together)
        options.json.write_text(json.dumps(asdict(outcome), indent=1) + "\n")
    return 0 if is_ahead(figures) and together[OURS] > together[PEER] else 1


def target_of(threads: int) -> Target:
    return Target(isa=this_host().isas[0], threads=threads)


def tune_caller(threads: int) -> Caller:
    with EvaluatorPool(Cores.of_this_process(threads)) as pool:
        winner = tune(LAYER, target_of(threads), Budget(TRIALS), NOTHING_KNOWN, pool).winner
    assert winner is not None
    return Caller(OURS, threads, winner.candidate)


def measure_bursts(callers: list[Caller], rounds: int) -> list[Figures]:
    """In every round each caller has a process of its own, which has ended before the next begins."""
    bursts: dict[tuple[str, int, int], list[list[float]]] = {}
    for _ in range(rounds):
        for caller in callers:
            answer = json.loads(start_process(caller, "bursts").communicate()[0])
            for pause_ms, found in zip(PAUSES_MS, answer, strict=True):
                bursts.setdefault((caller.library, caller.threads, pause_ms), []).extend(found)
    return [
        Figures(
            *key,
            first_us=statistics.median(burst[0] for burst in found),
            following_us=statistics.median(statistics.fmean(burst[1:]) for burst in found),
        )
        for key, found in bursts.items()
    ]


def measure_together(callers: list[Caller], rounds: int) -> dict[str, float]:
    """Calls a second of two processes at a time, by library: the median of the rounds."""
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for caller in callers:
            processes = [start_process(caller, "together") for _ in range(2)]
            for process in processes:
                assert process.stdout is not None
                process.stdout.readline()  # it is ready
            begin = time.monotonic() + 0.1
            for process in processes:
                assert process.stdin is not None
                print(begin, file=process.stdin, flush=True)
            rates.setdefault(caller.library, []).append(sum(float(each.communicate()[0]) for each in processes))
    return {library: statistics.median(found) for library, found in rates.items()}


def start_process(caller: Caller, what: str) -> "subprocess.Popen[str]":
    """A plain Python process that does `what`; the caller is the first line of its standard input."""
    command = [sys.executable, __file__, "--call", what]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    print(TypeAdapter(Caller).dump_json(caller).decode(), file=process.stdin, flush=True)
    return process


def call(what: str) -> int:
    """In such a process."""
    conv = TypeAdapter(Caller).validate_json(sys.stdin.readline()).make_conv()
    if what == "bursts":
        print(json.dumps([[burst(conv, pause_ms / 1e3) for _ in range(BURSTS)] for pause_ms in PAUSES_MS]))
    else:
        print("ready", flush=True)
        print(calls_a_second(conv, float(sys.stdin.readline())))
    return 0


def burst(conv: Runnable, pause_seconds: float) -> list[float]:
    """Latencies in us of calls that follow each other after a pause."""
    time.sleep(pause_seconds)
    found = []
    for _ in range(CALLS):
        started = time.perf_counter()
        conv.run()
        found.append((time.perf_counter() - started) * 1e6)
    return found


def calls_a_second(conv: Runnable, begin: float) -> float:
    time.sleep(max(0.0, begin - time.monotonic()))
    calls, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < TOGETHER_SECONDS:
        conv.run()
        calls += 1
    return calls / elapsed


def show(figures: list[Figures]) -> None:
    print("us of the first call after a pause / of each of the next nine")
    print(f"{'':24}" + "".join(f"{f'{pause_ms} ms':>14}" for pause_ms in PAUSES_MS))
    for library in (OURS, PEER):
        for threads in THREADS:
            own = [each for each in figures if (each.library, each.threads) == (library, threads)]
            cells = "".join(f"{f'{each.first_us:.0f}/{each.following_us:.0f}':>14}" for each in own)
            print(f"{f'{library}, {threads} threads':24}" + cells)


def is_ahead(figures: list[Figures]) -> bool:
    """Whether two threads are at least as fast as the peer's after every pause, first call and following."""
    most = [each for each in figures if each.threads == max(THREADS)]
    ours = [each for each in most if each.library == OURS]
    theirs = [each for each in most if each.library == PEER]
    return all(
        own.first_us <= (1 + TIE) * other.first_us and own.following_us <= (1 + TIE) * other.following_us
        for own, other in zip(ours, theirs, strict=True)
    )


if __name__ == "__main__":
    sys.exit(main())
