"""Where int8 arithmetic usually goes wrong: the ends of the ranges, ties, long sums, and awkward memory."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilewright.contract.target import Isa
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.paths import host_isas

from .cases import RANGE, Case, default_kernel, random_case
from .references import int64_result

DENSE = Workload(batch=1, in_channels=20, height=6, width=6, out_channels=24, kernel_size=(3, 3), padding=(1, 1, 1, 1))
DEPTHWISE = DENSE.model_copy(update={"in_channels": 24, "groups": 24})
KINDS = pytest.mark.parametrize("workload", [DENSE, DEPTHWISE], ids=["dense", "depthwise"])


def of_types(workload: Workload, data_dtype: str, out_dtype: str = "uint8") -> Workload:
    return workload.model_copy(update={"data_dtype": data_dtype, "out_dtype": out_dtype})


def filled(workload: Workload, element: int, factor: int, data_zero_point: int, out_zero_point: int) -> Case:
    """All data and all weights the same."""
    return Case(
        workload,
        np.full(workload.input_shape, element, workload.data_dtype),
        np.full(workload.weight_shape, factor, np.int8),
        y_scale=workload.reduction * 100.0,
        data_zero_point=data_zero_point,
        out_zero_point=out_zero_point,
    )


@KINDS
@pytest.mark.parametrize("isa", host_isas())
@pytest.mark.parametrize("data_dtype", ["uint8", "int8"])
def test_the_largest_products_of_both_signs_are_summed_exactly(workload: Workload, isa: Isa, data_dtype: str) -> None:
    workload = of_types(workload, data_dtype, "int32")
    kernel = default_kernel(workload, isa)
    low, high = RANGE[data_dtype]
    for element, zero_point in ((high, low), (low, high), (high, high), (low, low)):
        for factor in (-128, 127):
            case = filled(workload, element, factor, zero_point, 0)
            np.testing.assert_array_equal(case.run(kernel), int64_result(case))


@KINDS
@pytest.mark.parametrize("data_dtype", ["uint8", "int8"])
@pytest.mark.parametrize("out_dtype", ["uint8", "int8"])
def test_every_zero_point_gives_the_exact_result(workload: Workload, data_dtype: str, out_dtype: str) -> None:
    workload = of_types(workload, data_dtype, out_dtype)
    kernel = default_kernel(workload)
    case = random_case(workload, 3)
    for step in range(256):
        moved = replace(case, data_zero_point=RANGE[data_dtype][0] + step, out_zero_point=RANGE[out_dtype][1] - step)
        np.testing.assert_array_equal(moved.run(kernel), int64_result(moved))


@KINDS
@pytest.mark.parametrize("out_dtype", ["uint8", "int8"])
def test_results_beyond_the_range_saturate_at_both_ends(workload: Workload, out_dtype: str) -> None:
    workload = of_types(workload, "uint8", out_dtype)
    low, high = RANGE[out_dtype]
    kernel = default_kernel(workload)
    for y_scale in (1.0, 1e-6, 1e-30):
        case = replace(random_case(workload, 5), x_scale=1.0, w_scale=np.float32(1), y_scale=y_scale)
        result = case.run(kernel)
        np.testing.assert_array_equal(result, int64_result(case))
        assert {low, high} <= set(result.ravel().tolist())


@pytest.mark.parametrize("isa", host_isas())
@pytest.mark.parametrize("out_dtype", ["uint8", "int8"])
def test_ties_are_rounded_to_the_even_neighbour(isa: Isa, out_dtype: str) -> None:
    workload = Workload(
        batch=1, in_channels=4, height=1, width=256, out_channels=16, kernel_size=(1, 1), out_dtype=out_dtype
    )
    data = np.zeros(workload.input_shape, np.uint8)
    data[..., 0] = np.arange(256)
    weight = np.zeros(workload.weight_shape, np.int8)
    weight[:8, 0], weight[8:, 0] = 1, -1
    zero_point = {"uint8": 100, "int8": -20}[out_dtype]
    case = Case(workload, data, weight, y_scale=2.0, out_zero_point=zero_point)
    result = case.run(default_kernel(workload, isa))
    np.testing.assert_array_equal(result, int64_result(case))
    halves = result[0, 0, :8, 0].astype(int) - zero_point
    assert halves.tolist() == [0, 0, 1, 2, 2, 2, 3, 4]


@pytest.mark.parametrize(
    "shape",
    [
        {"in_channels": 65536, "height": 1, "width": 3, "kernel_size": (1, 1)},
        {"in_channels": 7281, "height": 3, "width": 4, "kernel_size": (3, 3)},
        {"in_channels": 1, "height": 256, "width": 257, "kernel_size": (256, 256)},
    ],
)
@pytest.mark.parametrize("data_dtype", ["uint8", "int8"])
def test_the_deepest_reductions_do_not_overflow(shape: dict[str, Any], data_dtype: str) -> None:
    workload = Workload(batch=1, out_channels=5, data_dtype=data_dtype, out_dtype="int32", bias=False, **shape)
    kernel = default_kernel(workload)
    low, high = RANGE[data_dtype]
    for case in (
        filled(workload, high, -128, low, 0),
        filled(workload, low, -128, high, 0),
        filled(workload, high, 127, low, 0),
        random_case(workload, 1),
    ):
        np.testing.assert_array_equal(case.run(kernel), int64_result(case))


@KINDS
@pytest.mark.parametrize("data_dtype", ["uint8", "int8"])
def test_data_may_start_at_any_address(workload: Workload, data_dtype: str) -> None:
    workload = of_types(workload, data_dtype, data_dtype)
    kernel = default_kernel(workload)
    case = random_case(workload, 7)
    expected = int64_result(case)
    for offset in (1, 3, 17, 63):
        moved = replace(case, data=at_offset(case.data, offset))
        out = at_offset(np.zeros_like(expected), offset)
        assert moved.run(kernel, out=out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("offset", [1, 4, 62])
@KINDS
def test_int32_results_may_start_at_any_address(workload: Workload, offset: int) -> None:
    workload = of_types(workload, "uint8", "int32")
    case = random_case(workload, 7)
    expected = int64_result(case)
    out = at_offset(np.zeros_like(expected), offset)
    np.testing.assert_array_equal(case.run(default_kernel(workload), out=out), expected)


def at_offset(array: np.ndarray, offset: int) -> np.ndarray:
    """The same elements at an address that is `offset` bytes behind a cache line's."""
    memory = np.zeros(array.nbytes + 128, np.uint8)
    first = -memory.ctypes.data % 64 + offset
    copy = memory[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    assert copy.ctypes.data % 64 == offset
    return copy


@KINDS
def test_data_may_be_strided_or_read_only_and_stays_as_it_is(workload: Workload) -> None:
    case = random_case(workload, 9)
    kernel = default_kernel(workload)
    expected = int64_result(case)
    transposed = np.ascontiguousarray(case.data.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    every_second = np.repeat(case.data, 2, axis=2)[:, :, ::2]
    reversed_ = case.data[:, ::-1].copy()[:, ::-1]
    read_only = case.data.copy()
    read_only.flags.writeable = False
    for data in (transposed, every_second, reversed_, read_only):
        before = data.copy()
        np.testing.assert_array_equal(replace(case, data=data).run(kernel), expected)
        np.testing.assert_array_equal(data, before)


@KINDS
def test_nothing_is_written_outside_out(workload: Workload) -> None:
    for channels in (24, 48):
        shape = {"in_channels": channels, "out_channels": channels, "groups": channels if workload.groups > 1 else 1}
        sized = workload.model_copy(update=shape)
        case = random_case(sized, 11)
        guarded = np.full((sized.output_shape[0] + 2, *sized.output_shape[1:]), 77, sized.out_dtype)
        case.run(default_kernel(sized), out=guarded[1:-1])
        np.testing.assert_array_equal(guarded[1:-1], int64_result(case))
        assert (guarded[0] == 77).all()
        assert (guarded[-1] == 77).all()
