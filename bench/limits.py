# mypy: disable-error-code="untyped-decorator,no-untyped-def,valid-type"
"""What the machine allows: the roofline of a layer, from measured dot products and measured memory bandwidth.

    python bench/limits.py [--threads 1] [--target avx512_vnni]

A layer takes at least as long as its multiply-adds at the measured peak of the cores, and at least as long as reading
its input and weights and writing its output once at the bandwidth of the nearest memory that holds all three.
"""

import argparse
import json
import os
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from math import prod
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm.script import tirx as T  # noqa: N812

from tilewright.contract.target import ISAS, Isa, Target
from tilewright.contract.workload import BYTES, Workload
from tilewright_kernels.isa.host import this_host
from tilewright_kernels.isa.llvm import llvm_target
from tilewright_kernels.runtime.thread_pool import set_threads

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNIT = {"K": 2**10, "M": 2**20, "G": 2**30}
LANES, CHAINS = 16, 4
"""int32 of a 64-byte line, and independent sums: enough for two loads a cycle, and registers for them on every path."""

CALL_BYTES = 2**26
"""Read by one call, so that starting the threads does not count."""

DRAM_BYTES = 2**28


@dataclass(frozen=True)
class Level:
    """A cache, or DRAM: what it holds for all cores that measure, and how fast they read it together."""

    name: str
    bytes: int
    gbytes_per_second: float


@dataclass(frozen=True)
class Roofline:
    """The least time that a layer can take, in us, and what sets it."""

    compute_us: float
    memory_us: float
    bytes: int
    level: str

    @property
    def least_us(self) -> float:
        return max(self.compute_us, self.memory_us)

    @property
    def bound(self) -> str:
        return "compute" if self.compute_us >= self.memory_us else self.level


def roofline(workload: Workload, peak_gmacs: float, levels: list[Level]) -> Roofline:
    """`peak_gmacs` is that of all threads together."""
    moved = input_bytes(workload) + prod(workload.weight_shape)
    moved += prod(workload.output_shape) * BYTES[workload.out_dtype]
    level = next((level for level in levels if moved <= level.bytes), levels[-1])
    return Roofline(workload.macs / peak_gmacs / 1e3, moved / level.gbytes_per_second / 1e3, moved, level.name)


def input_bytes(workload: Workload) -> int:
    """Of the pixels that are read at all: a stride may pass over some."""
    batch, height, width, channels = workload.input_shape
    rows = min(height, workload.out_height * workload.kernel_size[0])
    columns = min(width, workload.out_width * workload.kernel_size[1])
    return batch * rows * columns * channels


def measure_levels(target: Target, cores: frozenset[int]) -> list[Level]:
    """The nearest first. Measured in a process of its own, so that no pool of threads stays behind."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_measure_levels_here, target, cores).result()


def _measure_levels_here(target: Target, cores: frozenset[int]) -> list[Level]:
    os.sched_setaffinity(0, cores)
    levels = [
        Level(name, size, read_gbytes_per_second(target, min(size // 2, DRAM_BYTES)))
        for name, size in cache_sizes(target.threads)
    ]
    return [*levels, Level("DRAM", 2**63, read_gbytes_per_second(target, DRAM_BYTES))]


def cache_sizes(threads: int) -> list[tuple[str, int]]:
    """Name and size of each level for data; a cache that a core has for itself counts once for each thread."""
    found = []
    for folder in sorted(CACHES.glob("index*")):
        level, kind, size, sharers = (
            (folder / name).read_text().strip() for name in ("level", "type", "size", "shared_cpu_list")
        )
        if kind != "Instruction":
            is_private = re.fullmatch(r"\d+", sharers) is not None
            found.append((f"L{level}", int(size[:-1]) * UNIT[size[-1]] * (threads if is_private else 1)))
    return found


def read_gbytes_per_second(target: Target, size: int) -> float:
    """10^9 bytes a second that all threads together read of `size` bytes, each its own part again and again."""
    turns = size // (4 * LANES * CHAINS * target.threads)
    passes = -(-CALL_BYTES // size)
    module: Any = tvm.tirx.build(read_all(passes, turns, target.threads), llvm_target(target.isa, target.threads))
    set_threads(module, target.threads)
    data = tvm.runtime.tensor(np.ones((target.threads, turns, CHAINS, LANES), np.int32))
    out = tvm.runtime.tensor(np.zeros((target.threads, CHAINS, LANES), np.int32))
    seconds: float = module.time_evaluator("main", tvm.cpu(), number=1, repeat=15)(data, out).min
    return passes * target.threads * turns * CHAINS * LANES * 4 / seconds / 1e9


def read_all(passes: int, turns: int, threads: int) -> Any:
    """A function that reads and adds vectors, and does nothing else."""

    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer((threads, turns, CHAINS, LANES), "int32"), out: T.Buffer((threads, CHAINS, LANES), "int32")
    ):
        T.func_attr({"tirx.noalias": True})
        for thread in T.parallel(threads):
            with T.sblock("thread"):
                t = T.axis.spatial(threads, thread)
                total = T.sblock_alloc_buffer((CHAINS, LANES), "int32", scope="local")
                for chain in T.unroll(CHAINS):
                    total[chain, T.ramp(0, 1, LANES)] = T.broadcast(0, LANES)
                for _ in T.serial(passes):
                    for turn in T.serial(turns):
                        for chain in T.unroll(CHAINS):
                            total[chain, T.ramp(0, 1, LANES)] = (
                                total[chain, T.ramp(0, 1, LANES)] + data[t, turn, chain, T.ramp(0, 1, LANES)]
                            )
                for chain in T.unroll(CHAINS):
                    out[t, chain, T.ramp(0, 1, LANES)] = total[chain, T.ramp(0, 1, LANES)]

    return main


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--target", choices=list(ISAS), default=this_host().isas[0])
    options = parser.parse_args()
    cores = frozenset(sorted(os.sched_getaffinity(0))[: options.threads])
    levels = measure_levels(Target(isa=Isa(options.target), threads=options.threads), cores)
    print(json.dumps([asdict(level) for level in levels], indent=1))


if __name__ == "__main__":
    main()
