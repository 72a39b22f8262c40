"""Packing and calling a kernel: what it takes, and what it says about what it does not take."""

import threading
from typing import Any

import numpy as np
import pytest

from tilewright.contract.candidates import Choice
from tilewright.contract.schedules import Schedule
from tilewright.contract.workload import Workload
from tilewright.errors import ForeignSchedule, InvalidRequest
from tilewright_kernels.runtime.kernel import Kernel, PackedConv, load_kernel

from .cases import default_kernel, host_target, random_case
from .references import int64_result

CONV = Workload(batch=1, in_channels=8, height=5, width=6, out_channels=20, kernel_size=(3, 3), padding=(1, 1, 1, 1))
WEIGHT = np.ones(CONV.weight_shape, np.int8)
NO_BIAS = np.zeros(20, np.int32)
DATA = np.ones(CONV.input_shape, np.uint8)
TARGET = host_target()


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return default_kernel(CONV)


def test_a_packed_convolution_equals_the_reference(kernel: Kernel) -> None:
    for seed in range(5):
        case = random_case(CONV, seed)
        np.testing.assert_array_equal(case.run(kernel), int64_result(case))


@pytest.mark.parametrize(
    "named",
    [
        {"choice": Choice(space="dense_avx512_vnni", version=1, decisions={"rows": 5, "columns": 3, "blocks": 1})},
        {"choice": None, "trace": [[["GetSBlock", [], ["no_such_block", "main"], ["b0"]]], []]},
    ],
    ids=["choice", "trace"],
)
def test_a_schedule_that_does_not_fit_is_named(named: dict[str, Any]) -> None:
    schedule = Schedule.model_construct(id=7, **named)
    with pytest.raises(ForeignSchedule, match=f"schedule 7 of {CONV.name} does not fit"):
        load_kernel(CONV, TARGET, schedule)


def ones(kernel: Kernel) -> PackedConv:
    return kernel.pack(WEIGHT, NO_BIAS, scale=1)


def test_out_is_filled_and_given_back(kernel: Kernel) -> None:
    case = random_case(CONV, 1)
    out = np.empty(CONV.output_shape, np.uint8)
    assert case.run(kernel, out=out) is out
    np.testing.assert_array_equal(out, int64_result(case))


def test_one_scale_stands_for_all_channels(kernel: Kernel) -> None:
    each = kernel.pack(WEIGHT, NO_BIAS, scale=np.full(20, 0.25, np.float32))(DATA)
    np.testing.assert_array_equal(kernel.pack(WEIGHT, NO_BIAS, scale=0.25)(DATA), each)


def test_a_convolution_without_a_bias_in_its_workload_can_be_packed() -> None:
    case = random_case(CONV.model_copy(update={"bias": False}), 1)
    np.testing.assert_array_equal(case.run(default_kernel(case.workload)), int64_result(case))


def test_packing_copies_the_constants(kernel: Kernel) -> None:
    case = random_case(CONV, 2)
    weight = case.weight.copy()
    packed = kernel.pack(weight, case.bias, case.scale, case.data_zero_point, case.out_zero_point)
    weight[:] = 0
    np.testing.assert_array_equal(packed(case.data), int64_result(case))


def test_two_packed_convolutions_of_one_kernel_do_not_disturb_each_other(kernel: Kernel) -> None:
    first, second = random_case(CONV, 3), random_case(CONV, 4)
    packed = [case.pack(kernel) for case in (first, second)]
    for _ in range(2):
        np.testing.assert_array_equal(packed[0](first.data), int64_result(first))
        np.testing.assert_array_equal(packed[1](second.data), int64_result(second))


def test_several_threads_may_call_one_packed_convolution(kernel: Kernel) -> None:
    case = random_case(CONV, 5)
    packed = case.pack(kernel)
    expected = int64_result(case)
    wrong: list[int] = []

    def call() -> None:
        out = np.empty_like(expected)
        wrong.extend(1 for _ in range(200) if not np.array_equal(packed(case.data, out=out), expected))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Exchanged:
    """An array of another library, which shares its memory through DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __dlpack__(self, **keywords: Any) -> Any:
        return self._array.__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


def test_arrays_of_other_libraries_are_taken(kernel: Kernel) -> None:
    case = random_case(CONV, 6)
    exchanged: list[Any] = [Exchanged(array) for array in (case.weight, case.bias_or_zeros, case.data)]
    weight, bias, data = exchanged
    packed = kernel.pack(weight, bias, case.scale, case.data_zero_point, case.out_zero_point)
    np.testing.assert_array_equal(packed(data), int64_result(case))


WRONG_DATA = {
    "dtype": DATA.astype(np.int8),
    "float": DATA.astype(np.float32),
    "layout": DATA.transpose(0, 3, 1, 2),
    "size": DATA[:, 1:],
    "no batch": DATA[0],
}


@pytest.mark.parametrize("data", list(WRONG_DATA.values()), ids=list(WRONG_DATA))
def test_wrong_data_is_refused_with_both_shapes(kernel: Kernel, data: np.ndarray) -> None:
    with pytest.raises(InvalidRequest, match=r"x is .*; this kernel takes uint8 \(1, 5, 6, 8\)"):
        ones(kernel)(data)


WRONG_OUT = {
    "dtype": (np.empty(CONV.output_shape, np.int8), r"out is int8 .*; this kernel writes uint8 \(1, 5, 6, 20\)"),
    "size": (np.empty((1, 5, 6, 21), np.uint8), r"out is uint8 \(1, 5, 6, 21\)"),
    "strides": (np.empty((1, 5, 6, 40), np.uint8)[..., ::2], "out has to be C-contiguous and writeable"),
    "read only": (np.frombuffer(bytes(600), np.uint8).reshape(CONV.output_shape), "out has to be C-contiguous"),
}


@pytest.mark.parametrize(("out", "message"), list(WRONG_OUT.values()), ids=list(WRONG_OUT))
def test_a_wrong_out_is_refused(kernel: Kernel, out: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        ones(kernel)(DATA, out=out)


def test_an_output_that_overlaps_the_input_is_refused() -> None:
    workload = Workload(batch=1, in_channels=16, height=4, width=4, out_channels=16, kernel_size=(1, 1))
    packed = default_kernel(workload).pack(np.ones(workload.weight_shape, np.int8), np.zeros(16, np.int32), scale=1)
    x = np.zeros(workload.input_shape, np.uint8)
    with pytest.raises(InvalidRequest, match="overlaps"):
        packed(x, out=x)
