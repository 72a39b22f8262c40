import json
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tilewright import Workload
from tilewright.contract.jobs import JobRequest
from tilewright.errors import InvalidRequest
from tilewright.workload_source import parse_json, parse_workload, parse_workloads

from .examples import CONV

WORKLOAD = Workload.model_validate(CONV)


@pytest.mark.parametrize("source", [CONV, json.dumps(CONV), WORKLOAD], ids=["dict", "text", "Workload"])
def test_a_workload_is_a_dict_or_text_or_itself(source: object) -> None:
    assert parse_workload(source) == WORKLOAD  # type: ignore[arg-type]
    assert parse_workloads(source) == [WORKLOAD]  # type: ignore[arg-type]


def test_several_workloads_come_as_an_array_or_as_any_mixture() -> None:
    assert parse_workloads(json.dumps([CONV, CONV])) == [WORKLOAD, WORKLOAD]
    assert parse_workloads([CONV, json.dumps(CONV), WORKLOAD]) == [WORKLOAD] * 3


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[1,]", '{"batch": NaN}', "[Infinity]", '{"a": 1, "a": 2}'])
def test_only_strict_json_is_read(text: str) -> None:
    with pytest.raises(InvalidRequest, match="this is not JSON"):
        parse_json(text)


def test_json_of_any_depth_gets_an_answer() -> None:
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        parse_json("[" * 100_000)


@pytest.mark.parametrize("source", ["[]", "3", "null", '"text"', "[[]]", "[null]", "true"])
def test_json_that_is_no_workload_is_refused(source: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_workloads(source)


def test_a_refusal_says_which_of_several_workloads_is_wrong() -> None:
    with pytest.raises(InvalidRequest, match=r"^\[1\]\.groups is 0; it has to be from 1 to 65536$"):
        parse_workloads([CONV, {**CONV, "groups": 0}])


@pytest.mark.parametrize(
    "values",
    [
        {"in_channels": np.int64(64), "batch": np.uint8(1), "height": np.array(56)},
        {"kernel_size": np.array([3, 3]), "padding": np.ones(4, np.int32)},
        {"kernel_size": (np.int64(3), np.array(3)), "padding": np.int32(1), "stride": np.array(1)},
        {"kernel_size": helper.make_attribute("kernel_shape", [3, 3]).ints},
        {"data_dtype": np.dtype("uint8"), "out_dtype": np.uint8, "weight_dtype": np.str_("int8")},
        {"bias": np.bool_(True), "residual": np.array(False)},
    ],
    ids=lambda values: " ".join(values),
)
def test_values_are_taken_as_numpy_and_onnx_hold_them(values: dict[str, Any]) -> None:
    source = {**CONV, **values}
    assert parse_workload(source) == parse_workloads([source])[0] == Workload(**source) == WORKLOAD
    assert JobRequest(workloads=[source], trials=np.int64(7)).workloads == [WORKLOAD]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"in_channels": np.float32(64)}, "in_channels is 64.0; it has to be a whole number"),
        ({"in_channels": np.bool_(True)}, "in_channels is true; it has to be a whole number"),
        ({"in_channels": np.array([64])}, r"in_channels is \[64\]; it has to be a whole number"),
        ({"kernel_size": np.array([3.0, 3.0])}, r"kernel_size\[0\] is 3.0; it has to be a whole number"),
        ({"padding": np.array([1, 1])}, r"padding is 4 numbers: top, left, bottom, right \(found 2\)"),
        ({"bias": np.int64(1)}, "bias is 1; it has to be true or false"),
        ({"data_dtype": np.float32}, "data_dtype is 'float32'; it is one of uint8, int8"),
    ],
)
def test_values_of_numpy_are_not_converted_into_what_they_are_not(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_workload({**CONV, **values})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not JSON: expecting value in line 1, column 1"),
        ('{\n  "batch": 1\n  "height": 2\n}', """expecting ',' delimiter in line 3, column 3: "height": 2"""),
        ("{" + " " * 90 + "x" * 90, "in line 1, column 92: " + "x" * 31),
        ("\x00", r"this is not JSON: expecting value in line 1, column 1: '\x00'"),
        ("9" * 5000, "a number of 5000 digits is too long"),
        ("resnet18", "a network is given to submit by its name, as network='resnet18'"),
        ("conv.json", "of a file give the text, as Path(...).read_text()"),
    ],
)
def test_broken_json_is_shown_where_it_breaks(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_workload(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (42, "this is 42; a workload is an object"),
        (None, "this is null; a workload is an object"),
        (b"{}", "this is a value of the type bytes; a workload is an object"),
        ([CONV, 3], "[1] is 3; a workload is an object"),
        ({}, "this is not a workload, for it has nothing; a workload has batch, in_channels, height, width, out_"),
        ({"colour": 1}, "this is not a workload, for it has colour; a workload has batch"),
        ({"workloads": [CONV]}, "this is not a workload, for it has workloads; give what stands under 'workloads'"),
        ([{"name": "x", "workload": CONV}], "[0] is not a workload, for it has name, workload; give what stands under"),
        ([{"network": "x", "workloads": []}], "`tilewright networks NAME --json | jq '[.[].workloads[].workload]'`"),
        (dict([*CONV.items(), (3, 4)]), "this has the key 3; keys have to be text"),
    ],
)
def test_what_is_another_kind_of_thing_is_told_what_a_workload_is(source: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_workloads(source)
    assert message in str(caught.value)
