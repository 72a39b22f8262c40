"""Is the machine code the same before and after a change that should not touch it?

`python -m bench.machine_code --save FILE`, change something, `python -m bench.machine_code --compare FILE`. Some 500
kernels: every kind of convolution, three ISA paths, all layouts, one and two threads, the choice that is expected to be
best and one from the middle. Of each it hashes the choices and their features, the packed constants, and the assembly
without debug information. Needs no quiet machine: nothing is measured.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from tilewright.contract.candidates import Candidate
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.numerics import Quantization
from tilewright_kernels.conv2d.space import Space, StructuredSpace
from tilewright_kernels.conv2d.spaces import space_of
from tilewright_kernels.isa.instruction_count import assembly
from tilewright_kernels.runtime.build import build, default_candidate

ISAS = (Isa.AVX512_VNNI, Isa.AVX_VNNI, Isa.AVX2)
LAYOUTS = ("NHWC", "NCHW", "NCHW16c")
BASE = {"batch": 1, "in_channels": 32, "height": 14, "width": 14, "out_channels": 32, "kernel_size": [3, 3]}
BASE |= {"padding": [1, 1, 1, 1]}
POINTWISE = {"in_channels": 64, "out_channels": 128, "kernel_size": [1, 1], "padding": [0, 0, 0, 0]}
IMAGE = {"in_channels": 3, "height": 32, "width": 32, "stride": [2, 2]}
SHAPES: dict[str, dict[str, Any]] = {
    "3x3": {"in_channels": 64, "out_channels": 64},
    "1x1": POINTWISE,
    "1x1 strided": {**POINTWISE, "stride": [2, 2]},
    "3x3 strided": {"out_channels": 48, "stride": [2, 2]},
    "few pixels": {"in_channels": 128, "out_channels": 128, "height": 7, "width": 7},
    "int8": {"data_dtype": "int8", "out_dtype": "int8"},
    "int32": {"out_dtype": "int32"},
    "float32 with residual": {"out_dtype": "float32", "residual": True},
    "residual": {"residual": True, "activation": "relu"},
    "relu6": {"activation": "relu6", "batch": 2},
    "odd channels": {"in_channels": 20, "out_channels": 40},
    "two groups": {"in_channels": 64, "out_channels": 64, "groups": 2},
    "first layer": {
        "in_channels": 3,
        "height": 32,
        "width": 32,
        "kernel_size": [7, 7],
        "padding": [3] * 4,
        "stride": [2, 2],
    },
    "small first layer": {"in_channels": 3, "height": 32, "width": 32, "stride": [2, 2]},
    "depthwise": {"groups": 32},
    "depthwise strided": {"in_channels": 96, "out_channels": 96, "groups": 96, "stride": [2, 2]},
    "depthwise 5x5": {"in_channels": 64, "out_channels": 64, "groups": 64, "kernel_size": [5, 5], "padding": [2] * 4},
    "depthwise int8": {"in_channels": 24, "out_channels": 24, "groups": 24, "data_dtype": "int8", "out_dtype": "int8"},
    "depthwise residual": {"groups": 32, "residual": True},
    "eight groups": {"groups": 8},
    "depthwise dilated": {"groups": 32, "dilation": [2, 2], "padding": [2] * 4},
}
DEBUG = re.compile(r"\s*\.(loc|file|ident|cfi_|size|addrsig|L(debug|info|str|section|line|addr|cu|names|abbrev))")
LABELS = re.compile(r"\s*\.?Ltmp\d+:|\s*#")


def kernels() -> Iterator[tuple[str, Workload, Target]]:
    for name, shape in SHAPES.items():
        for layout in LAYOUTS:
            try:
                workload = Workload.model_validate({**BASE, **shape, "layout": layout})
            except ValidationError:
                continue  # channels in multiples of sixteen only
            for isa in ISAS:
                for threads in (1, 2):
                    yield f"{name} {layout} {isa} {threads}", workload, Target(isa=isa, threads=threads)


def fingerprints(name: str, workload: Workload, target: Target) -> Iterator[tuple[str, list[str]]]:
    """Of one or two kernels: hashes of choices with features, of constants, and of machine code."""
    space = space_of(workload, target.isa)
    described, candidates = described_candidates(space, workload, target)
    for index, candidate in enumerate(candidates):
        code = without_debug(assembly(build(workload, target, candidate)))
        yield f"{name} {index}", [digest(described), digest_of_constants(space, workload), digest(code)]


def described_candidates(space: Space, workload: Workload, target: Target) -> tuple[str, list[Candidate]]:
    if not isinstance(space, StructuredSpace):
        return "", [default_candidate(workload, space, target)]
    found = space.candidates(workload, target)
    features = [space.features(workload, target, decisions) for decisions in found]
    picked = {0, len(found) // 2} if target.threads == 1 else {0}
    description = json.dumps([[asdict(decisions) for decisions in found], features])
    return description, [space.choice(found[index]) for index in sorted(picked)]


def digest_of_constants(space: Space, workload: Workload) -> str:
    random, channels = np.random.default_rng(0), workload.out_channels
    weight = random.integers(-128, 128, workload.weight_shape).astype(np.int8)
    bias, scale = (
        random.integers(-999, 999, channels).astype(np.int32),
        random.random(channels).astype(np.float32) + 0.001,
    )
    zero_point = 7 if workload.data_dtype == "uint8" else -3
    values = Quantization(weight, bias, scale, zero_point, 5, 0.5, 3, 0.1)
    arrays = (np.ascontiguousarray(array) for array in space.constants(workload, values))
    return digest(b"".join(f"{array.shape}{array.dtype}".encode() + array.tobytes() for array in arrays))


def without_debug(text: str) -> str:
    kept, is_debug = [], False
    for line in text.splitlines():
        if line.lstrip().startswith(".section"):
            is_debug = ".debug" in line
        elif line.strip() in (".text", ".data", ".bss"):
            is_debug = False
        if not is_debug and not DEBUG.match(line) and not LABELS.match(line):
            kept.append(line.partition("#")[0].rstrip())
    return "\n".join(kept)


def digest(value: str | bytes) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else value.encode()).hexdigest()[:16]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", type=Path, metavar="FILE")
    parser.add_argument("--compare", type=Path, metavar="FILE")
    options = parser.parse_args()
    found = {key: value for each in kernels() for key, value in fingerprints(*each)}
    print(f"{len(found)} kernels, {digest(json.dumps(found, sort_keys=True))}")
    if options.save:
        options.save.write_text(json.dumps(found, indent=0))
    if options.compare is None:
        return 0
    before = json.loads(options.compare.read_text())
    different = sorted(key for key in before.keys() | found.keys() if before.get(key) != found.get(key))
    print(
        f"{len(different)} differ"
        + "".join(f"\n   {key}: {before.get(key)} {found.get(key)}" for key in different[:20])
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
