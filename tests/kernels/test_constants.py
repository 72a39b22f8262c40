"""What `pack` takes, and what it says where values are forgotten, useless or wrong: never a wrong result."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

import tilewright
from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest
from tilewright_kernels.runtime.kernel import Kernel

from .cases import default_kernel, random_case
from .references import int64_result

CONV = Workload(batch=1, in_channels=8, height=5, width=6, out_channels=20, kernel_size=(3, 3), padding=(1, 1, 1, 1))
WEIGHT = np.ones(CONV.weight_shape, np.int8)
BIAS = np.zeros(20, np.int32)
VALUES = {"weight": WEIGHT, "bias": BIAS, "scale": 0.5}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return default_kernel(CONV)


def kernel_of(**fields: Any) -> Kernel:
    return default_kernel(CONV.model_copy(update=fields))


RELU6 = {"activation": "relu6"}
RESIDUAL = {"residual": True}
FORGOTTEN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "bias": (
        {},
        {"scale": 0.5},
        r'the workload has a bias: give bias=\.\.\., or np.zeros\(20, np.int32\) for none; or .*"bias": false',
    ),
    "scale": ({}, {"bias": BIAS}, r"scale is missing: give x_scale \* w_scale / y_scale, one number or 20"),
    "both": ({}, {}, r"(?s)the workload has a bias.*scale is missing"),
    "scale of float32": ({"out_dtype": "float32"}, {"bias": BIAS}, r"scale is missing: give x_scale \* w_scale, one"),
    "scale without a bias": ({"bias": False}, {}, "scale is missing"),
    "end of relu6": (RELU6, VALUES, "out_scale is missing: relu6 ends at 6 / out_scale"),
    "residual_scale": (RESIDUAL, VALUES, r"^residual_scale is missing.*give r_scale / y_scale"),
}


@pytest.mark.parametrize(("fields", "values", "message"), list(FORGOTTEN.values()), ids=list(FORGOTTEN))
def test_a_value_that_was_forgotten_is_asked_for(fields: dict[str, Any], values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        kernel_of(**fields).pack(**{"weight": WEIGHT, **values})


USELESS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "bias": ({"bias": False}, VALUES, "the workload says bias=false"),
    "residual_scale": ({}, {**VALUES, "residual_scale": 1.0}, "residual_scale is given, but the workload adds no resi"),
    "residual_zero_point": ({}, {**VALUES, "residual_zero_point": 0}, "residual_zero_point is given, but"),
    "out_scale": ({}, {**VALUES, "out_scale": 0.1}, r"out_scale is given.*y_scale is in scale"),
    "out_scale of float32": ({**RELU6, "out_dtype": "float32"}, {**VALUES, "out_scale": 0.1}, "out_scale is given"),
    "out_zero_point": ({"out_dtype": "int32"}, {"bias": BIAS, "out_zero_point": 1}, "out_zero_point is 1; int32 resul"),
}


@pytest.mark.parametrize(("fields", "values", "message"), list(USELESS.values()), ids=list(USELESS))
def test_a_value_that_would_change_nothing_is_refused(
    fields: dict[str, Any], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        kernel_of(**fields).pack(**{"weight": WEIGHT, **values})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "layout of weight": (
        {"weight": WEIGHT.transpose(2, 3, 1, 0)},
        r"weight has shape \(3, 3, 8, 20\).*\(20, 8, 3, 3\)",
    ),
    "dtype of weight": ({"weight": WEIGHT.astype(np.uint8)}, "weight is uint8; the workload wants int8"),
    "float weight": ({"weight": WEIGHT.astype(np.float32)}, "weight is float32"),
    "a weight of ONNX": (
        {"weight": numpy_helper.from_array(WEIGHT)},
        "weight is TensorProto, and no array of numbers; give onnx.numpy_helper.to_array of it",
    ),
    "a bias of ONNX": ({"bias": numpy_helper.from_array(BIAS)}, "bias is TensorProto.*to_array"),
    "a zero point of ONNX": (
        {"out_zero_point": numpy_helper.from_array(np.array(3, np.uint8))},
        "out_zero_point is TensorProto.*to_array",
    ),
    "ragged weight": ({"weight": [[1, 2], [3]]}, "weight is no array of numbers: "),
    "ragged scale": ({"scale": [0.5, [0.5]]}, "scale is no array of numbers: "),
    "text for a weight": ({"weight": "weight.npy"}, "weight is str, and no array of numbers"),
    "range of weight": ({"weight": WEIGHT.astype(np.int32) * 200}, "weight has values outside the range of int8"),
    "shape of bias": ({"bias": np.zeros(8, np.int32)}, r"bias has shape \(8,\)"),
    "one bias": ({"bias": 0}, r"bias has shape \(\)"),
    "dtype of bias": ({"bias": np.zeros(20, np.float32)}, "bias is float32"),
    "range of bias": ({"bias": np.full(20, 2**31, np.int64)}, "bias has values outside the range of int32"),
    "shape of scale": ({"scale": np.ones(8, np.float32)}, r"scale has shape \(8,\)"),
    "bias for a scale": ({"scale": np.ones(20, np.int32)}, "scale is int32; the workload wants float32"),
    "text for a scale": ({"scale": "0.5"}, "scale is str, and no array of numbers"),
    "scale of zero": ({"scale": 0.0}, "scale has to be finite and positive"),
    "scale below zero": ({"scale": -1.0}, "scale has to be finite and positive"),
    "scale of infinity": ({"scale": float("inf")}, "scale has to be finite and positive"),
    "scale that is no number": ({"scale": float("nan")}, "scale has to be finite and positive"),
    "scale beyond float32": ({"scale": np.full(20, 1e300)}, "scale has to be finite and positive"),
    "scale that float32 rounds to zero": ({"scale": 1e-60}, "scale has to be finite and positive"),
    "data zero point": ({"data_zero_point": 256}, "data_zero_point is 256; for uint8"),
    "zero point below": ({"data_zero_point": -1}, "data_zero_point is -1"),
    "zero point of an int8": ({"data_zero_point": np.array(-3, np.int8)}, "data_zero_point is -3; for uint8"),
    "zero point beyond int64": (
        {"data_zero_point": 2**70},
        "data_zero_point is 1180591620717411303424, which is beyond",
    ),
    "zero points of channels": ({"out_zero_point": np.zeros(20, np.uint8)}, r"shape \(20,\); it is one integer"),
    "no zero point": ({"data_zero_point": None}, "data_zero_point is None, and no array of numbers"),
    "out zero point": ({"out_zero_point": 1.5}, "out_zero_point is 1.5"),
    "float zero point": ({"out_zero_point": np.float32(1)}, "out_zero_point is 1.0"),
    "zero point of truth": ({"out_zero_point": True}, "out_zero_point is True"),
}


@pytest.mark.parametrize(("values", "message"), list(WRONG.values()), ids=list(WRONG))
def test_wrong_constants_are_refused_by_name(kernel: Kernel, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        kernel.pack(**{**VALUES, **values})


HELD_AS = {
    "Python": lambda number: number,
    "0-d array": lambda number: np.array(number, np.uint8),
    "one element": lambda number: np.array([number], np.uint8),
    "NumPy integer": np.int64,
    "initialiser": lambda number: numpy_helper.to_array(numpy_helper.from_array(np.array(number, np.uint8))),
}


@pytest.mark.parametrize("held", list(HELD_AS.values()), ids=list(HELD_AS))
def test_zero_points_are_taken_as_numpy_and_onnx_hold_them(kernel: Kernel, held: Any) -> None:
    case = random_case(CONV, 3)
    packed = kernel.pack(
        case.weight, case.bias, case.scale, held(case.data_zero_point), out_zero_point=held(case.out_zero_point)
    )
    np.testing.assert_array_equal(packed(case.data), int64_result(case))


def test_initialisers_of_a_model_are_taken_as_they_are(kernel: Kernel) -> None:
    case = random_case(CONV, 4)
    weight, bias, scale = (
        numpy_helper.to_array(numpy_helper.from_array(array)) for array in (case.weight, case.bias_or_zeros, case.scale)
    )
    packed = kernel.pack(weight, bias, scale, case.data_zero_point, case.out_zero_point)
    np.testing.assert_array_equal(packed(case.data), int64_result(case))


ONE_SCALE = {
    "Python": 0.25,
    "whole": 1,
    "0-d": np.array(0.25, np.float32),
    "one element": np.array([0.25], np.float32),
    "float64": np.array([0.1]),
    "channels in float64": np.full(20, 0.1),
}


@pytest.mark.parametrize("scale", list(ONE_SCALE.values()), ids=list(ONE_SCALE))
def test_a_scale_is_rounded_to_float32_and_one_stands_for_all_channels(scale: Any) -> None:
    kernel, case = kernel_of(out_dtype="float32"), random_case(CONV, 5)
    each = np.full(20, np.asarray(scale).flat[0], np.float32)
    packed = [kernel.pack(case.weight, case.bias, each_or_one) for each_or_one in (scale, each)]
    np.testing.assert_array_equal(packed[0](case.data), packed[1](case.data))


def test_values_of_the_residual_and_of_relu6_may_be_arrays_of_one_element() -> None:
    kernel = kernel_of(**RESIDUAL, **RELU6)
    case = random_case(CONV, 6)
    added = np.arange(600, dtype=np.uint8).reshape(CONV.output_shape)
    plain: dict[str, Any] = {"residual_scale": 0.5, "residual_zero_point": 3, "out_scale": 0.1}
    arrays: dict[str, Any] = {
        "residual_scale": np.array(0.5),
        "residual_zero_point": np.array([3], np.uint8),
        "out_scale": np.array([0.1], np.float32),
    }
    results = [
        kernel.pack(case.weight, case.bias, case.scale, **values)(case.data, residual=added)
        for values in (plain, arrays)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    for name in plain:
        with pytest.raises(InvalidRequest, match=f"{name} has shape"):
            kernel.pack(case.weight, case.bias, case.scale, **{**plain, name: np.ones(2)})


def test_a_bias_of_int64_that_fits_is_taken(kernel: Kernel) -> None:
    case = random_case(CONV, 7)
    wide = replace(case, bias=case.bias_or_zeros.astype(np.int64))
    np.testing.assert_array_equal(wide.run(kernel), int64_result(case))


def test_a_kernel_says_in_a_line_what_it_is(kernel: Kernel) -> None:
    name = "n1_c8_h5w6_o20_k3x3_s1_p1_u8s8u8_nhwc"
    path = kernel.target.isa
    assert repr([kernel]) == f"[<Kernel {name}, {path}, 1 thread, no schedule>]"
    packed = kernel.pack(WEIGHT, BIAS, scale=1)
    shapes = f"{name}, uint8 (1, 5, 6, 8) -> uint8 (1, 5, 6, 20)"
    assert repr([packed]) == f"[<PackedConv {shapes}, {path}, 1 thread, no schedule>]"


@pytest.mark.parametrize("send", [pickle.dumps, copy.deepcopy])
def test_a_kernel_stays_in_its_process_and_says_what_to_do_instead(kernel: Kernel, send: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="a kernel is machine code of this process: send its workload, and load it"):
        send(kernel)
    with pytest.raises(TypeError, match="a packed convolution is machine code of this process: load and pack again"):
        send(kernel.pack(WEIGHT, BIAS, scale=1))


def test_kernels_are_what_the_client_promises(kernel: Kernel) -> None:
    assert isinstance(kernel, tilewright.Kernel)
    assert isinstance(kernel.pack(WEIGHT, BIAS, scale=1), tilewright.PackedConv)
