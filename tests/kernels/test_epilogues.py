"""What happens to a sum: residual adds, activations with a cap, and outputs that stay floating point."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest
from tilewright_kernels.isa.paths import host_isas
from tilewright_tuning.verification import GuardedOutput

from .cases import default_kernel, random_case
from .references import in_nchw, int64_result

SHAPES = {
    "dense": {"in_channels": 16, "out_channels": 64},
    "dense with a tail": {"in_channels": 16, "out_channels": 24},
    "rows": {"in_channels": 3, "out_channels": 21},
    "depthwise": {"in_channels": 32, "out_channels": 32, "groups": 32},
    "grouped": {"in_channels": 32, "out_channels": 32, "groups": 8},
}
EPILOGUES = [
    {"out_dtype": out_dtype, "activation": activation, "residual": residual}
    for out_dtype, activation, residual in itertools.product(
        ("uint8", "int8", "float32"), ("none", "relu", "relu6"), (False, True)
    )
    if out_dtype == "float32" or activation == "relu6" or residual
]
OUT_SCALE = 0.037


def workload(shape: str, epilogue: dict[str, object], **fields: object) -> Workload:
    base = {"batch": 2, "height": 7, "width": 6, "kernel_size": (3, 3), "padding": (1, 1, 1, 1)}
    return Workload.model_validate({**base, **SHAPES[shape], **epilogue, **fields})


@pytest.mark.parametrize("isa", [Isa.AVX512_VNNI, pytest.param(Isa.AVX2, marks=pytest.mark.soak)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epilogue", EPILOGUES, ids=lambda e: f"{e['out_dtype']}-{e['activation']}-{e['residual']}")
def test_every_epilogue_is_exact(shape: str, epilogue: dict[str, object], isa: Isa) -> None:
    assert_exact(workload(shape, epilogue), isa)


WIDTHS = (6, 19)

IN_OTHER_LAYOUTS = [
    (shape, layout, width)
    for shape in SHAPES
    for layout in ("NCHW", "NCHW16c")
    for width in WIDTHS
    if layout == "NCHW" or shape not in ("dense with a tail", "rows")
]

OUTPUTS = ("uint8", "int8", "float32")
ON_PATHS = [(host_isas()[0], out_dtype, WIDTHS) for out_dtype in OUTPUTS] + [
    (isa, out_dtype, (width,)) for isa, out_dtype, width in zip(host_isas()[1:], OUTPUTS * 2, WIDTHS * 3, strict=False)
]
"""Every output and both widths on the strongest path, one of each on the others; the soak has the other width, too."""

WITH_RESIDUALS = [
    pytest.param(*of_layout, out_dtype, isa, marks=[] if of_layout[-1] in widths else [pytest.mark.soak])
    for of_layout in IN_OTHER_LAYOUTS
    for isa, out_dtype, widths in ON_PATHS
]


@pytest.mark.parametrize(("shape", "layout", "width", "out_dtype", "isa"), WITH_RESIDUALS)
def test_residuals_are_exact_in_every_layout(shape: str, layout: str, width: int, out_dtype: str, isa: Isa) -> None:
    assert_exact(workload(shape, {"out_dtype": out_dtype, "residual": True}, layout=layout, width=width), isa)


def assert_exact(asked: Workload, isa: Isa) -> None:
    case = random_case(asked.model_copy(update={"out_dtype": "int32", "activation": "none", "residual": False}), 5)
    sums = int64_result(case)
    random = np.random.default_rng(9)
    scale = (random.uniform(0.5, 2, asked.out_channels) * 60 / np.abs(sums).max()).astype(np.float32)
    zero_point = 0 if asked.out_dtype == "float32" else 7
    added = random.integers(0, 256, asked.output_shape).astype(np.uint8).view(asked.residual_dtype)
    packed = default_kernel(asked, isa).pack(
        case.weight,
        case.bias,
        scale,
        case.data_zero_point,
        zero_point,
        residual_scale=0.31 if asked.residual else None,
        residual_zero_point=5 if asked.residual else None,
        out_scale=OUT_SCALE if asked.activation == "relu6" and asked.out_dtype != "float32" else None,
    )
    guarded = GuardedOutput(asked)
    result = packed(case.data, out=guarded.array, residual=added if asked.residual else None)
    nchw = [in_nchw(array, asked.layout) for array in (sums, added)]
    by_channel = scale.reshape(-1, 1, 1)
    np.testing.assert_array_equal(
        in_nchw(result, asked.layout), expected(asked, nchw[0], by_channel, zero_point, nchw[1])
    )
    assert guarded.is_intact()


def expected(asked: Workload, sums: np.ndarray, scale: np.ndarray, zero_point: int, added: np.ndarray) -> np.ndarray:
    """In float32, one operation after the other, none fused."""
    value = sums.astype(np.float32) * scale
    if asked.residual:
        value = value + (added.astype(np.int64) - 5).astype(np.float32) * np.float32(0.31)
    if asked.out_dtype == "float32":
        bounds = {"none": (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}[asked.activation]
        return np.clip(value, np.float32(bounds[0]), np.float32(bounds[1]))
    low, high = (0, 255) if asked.out_dtype == "uint8" else (-128, 127)
    if asked.activation != "none":
        low = zero_point
    if asked.activation == "relu6":
        high = min(high, zero_point + int(np.rint(np.float32(6) / np.float32(OUT_SCALE))))
    return np.clip(np.rint(value).astype(np.int64) + zero_point, low, high).astype(asked.out_dtype)


def test_a_residual_has_to_be_given_exactly_where_the_workload_has_one() -> None:
    with_one = workload("dense", {"residual": True})
    without = replace(random_case(with_one.model_copy(update={"residual": False}), 1))
    packed = default_kernel(with_one).pack(
        without.weight, without.bias, scale=0.01, residual_scale=1, residual_zero_point=0
    )
    with pytest.raises(InvalidRequest, match="takes a residual"):
        packed(without.data)
    with pytest.raises(InvalidRequest, match="residual is uint8"):
        packed(without.data, residual=np.zeros((1, 2, 3, 4), np.uint8))
    plain = default_kernel(without.workload).pack(without.weight, without.bias, scale=0.01)
    with pytest.raises(InvalidRequest, match="takes no residual"):
        plain(without.data, residual=np.zeros(without.workload.output_shape, np.uint8))
