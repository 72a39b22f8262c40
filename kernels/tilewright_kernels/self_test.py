"""`python -m tilewright_kernels.self_test`: what TVM can do here, one finding as JSON a line.

A process of its own, started by `tilewright doctor`: with the wrong packages TVM does not raise, it crashes.
"""

import json
from collections.abc import Callable, Iterator

import numpy as np
import tvm

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.generic.evolution import tune_context
from tilewright_kernels.conv2d.numerics import Quantization, reference
from tilewright_kernels.conv2d.spaces import GenericSpace
from tilewright_kernels.isa.host import this_host
from tilewright_kernels.isa.paths import host_isas
from tilewright_kernels.isa.peak import peak_gmacs
from tilewright_kernels.runtime.build import definition
from tilewright_kernels.runtime.kernel import load_kernel

WORKLOAD = Workload(
    batch=1, in_channels=12, height=7, width=8, out_channels=24, kernel_size=(3, 3), padding=(1, 1, 1, 1)
)


def main() -> None:
    """Tell everything, good or bad; another end than this one is a crash."""
    for name, check in list_checks():
        tell(name, check)


def list_checks() -> Iterator[tuple[str, Callable[[], str]]]:
    yield "llvm", lambda: f"version {tvm.target.codegen.llvm_version_major()}"
    yield "host class", lambda: this_host().host_class
    yield "isa paths", lambda: ", ".join(host_isas())
    yield "metaschedule", sampled_space
    for isa in host_isas():
        yield f"kernel on {isa}", lambda isa=isa: exact_kernel(isa)  # type: ignore[misc]
    for isa in host_isas():
        yield f"peak of one core, {isa}", lambda isa=isa: f"{peak_gmacs(isa):.0f} GMAC/s"  # type: ignore[misc]


def tell(name: str, check: Callable[[], str]) -> None:
    """Print what a check finds, at once: the next one may be the end of this process."""
    try:
        ok, detail = True, check()
    except Exception as error:  # whatever it is, it is the finding
        ok, detail = False, f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1]}"
    print(json.dumps({"name": name, "ok": ok, "detail": detail}), flush=True)


def sampled_space() -> str:
    context = tune_context(definition(GenericSpace.name, WORKLOAD), Target(isa=host_isas()[0]), population=2, seed=1)
    spaces = context.generate_design_space()
    return f"samples candidates, {len(spaces)} sketches"


def exact_kernel(isa: Isa) -> str:
    """Build a small kernel, run it, and compare it with the reference."""
    random = np.random.default_rng(0)
    data = random.integers(0, 256, WORKLOAD.input_shape).astype(np.uint8)
    weight = random.integers(-128, 128, WORKLOAD.weight_shape).astype(np.int8)
    values = Quantization(weight, np.zeros(24, np.int32), np.full(24, 0.002, np.float32), 7, 100)
    packed = load_kernel(WORKLOAD, Target(isa=isa)).pack(weight, values.bias, values.scale, 7, 100)
    different = int(np.count_nonzero(packed(data) != reference(WORKLOAD, data, values)))
    if different:
        raise ArithmeticError(f"{different} of {np.prod(WORKLOAD.output_shape)} elements differ from the reference")
    return "built, run, bit-exact"


if __name__ == "__main__":
    main()
