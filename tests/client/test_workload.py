import json
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tilewright.contract.workload import MAX_REDUCTION, Workload
from tilewright.errors import InvalidRequest

from .examples import CONV

SIZE_FIELDS = ("batch", "in_channels", "height", "width", "out_channels", "groups")
NOT_INTEGERS: tuple[object, ...] = (1.0, 1.5, "1", True, None, float("nan"), float("inf"), [1], {})


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    size = st.integers(1, 40)
    small = st.integers(1, 4)
    groups = draw(st.integers(1, 6))
    fields = {
        "batch": draw(small),
        "in_channels": groups * draw(small),
        "height": draw(size),
        "width": draw(size),
        "out_channels": groups * draw(small),
        "kernel_size": draw(st.tuples(small, small)),
        "stride": draw(st.tuples(small, small)),
        "padding": draw(st.tuples(*[st.integers(0, 3)] * 4)),
        "dilation": draw(st.tuples(small, small)),
        "groups": groups,
        "data_dtype": draw(st.sampled_from(["uint8", "int8"])),
        "out_dtype": draw(st.sampled_from(["uint8", "int8", "int32"])),
        "bias": draw(st.booleans()),
        "activation": draw(st.sampled_from(["none", "relu"])),
        "layout": draw(st.sampled_from(["NHWC", "NCHW"])),
    }
    try:
        return Workload.model_validate(fields)
    except InvalidRequest:
        assume(False)
        raise


def complaint(**changes: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        Workload(**{**CONV, **changes})
    return str(caught.value)


def test_six_fields_make_a_workload() -> None:
    workload = Workload(batch=1, in_channels=3, height=8, width=8, out_channels=4, kernel_size=(1, 1))
    assert workload.stride == workload.dilation == (1, 1)
    assert workload.padding == (0, 0, 0, 0)
    assert (workload.groups, workload.bias, workload.layout) == (1, True, "NHWC")


@pytest.mark.parametrize("field", ["batch", "in_channels", "height", "width", "out_channels", "kernel_size"])
def test_a_missing_field_is_named(field: str) -> None:
    fields = {name: value for name, value in CONV.items() if name != field}
    with pytest.raises(InvalidRequest, match=f"{field} is missing"):
        Workload(**fields)


@pytest.mark.parametrize("value", NOT_INTEGERS, ids=repr)
@pytest.mark.parametrize("field", SIZE_FIELDS)
def test_sizes_are_integers_and_nothing_is_converted(field: str, value: object) -> None:
    assert field in complaint(**{field: value})


@pytest.mark.parametrize("value", [0, -1, 10**9, 2**70])
@pytest.mark.parametrize("field", SIZE_FIELDS)
def test_sizes_are_positive_and_bounded(field: str, value: int) -> None:
    assert field in complaint(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kernel_size", [3]),
        ("kernel_size", [3, 3, 3]),
        ("kernel_size", 0),
        ("kernel_size", True),
        ("kernel_size", 3.0),
        ("stride", [0, 1]),
        ("padding", [1, 1]),
        ("padding", [-1, 0, 0, 0]),
        ("dilation", ["1", 1]),
        ("layout", "NCHW8c"),
        ("data_dtype", "float32"),
        ("weight_dtype", "uint8"),
        ("activation", "gelu"),
        ("bias", 1),
        ("residual", 1),
        ("kernal_size", [3, 3]),
    ],
)
def test_wrong_values_and_unknown_keys_are_refused_by_name(field: str, value: object) -> None:
    assert field in complaint(**{field: value})


def test_one_number_stands_for_equal_ones_and_makes_the_same_workload() -> None:
    short = Workload(**{**CONV, "kernel_size": 3, "stride": 1, "dilation": 1, "padding": 1})
    assert (short.kernel_size, short.padding) == ((3, 3), (1, 1, 1, 1))
    assert short.id == Workload.model_validate(CONV).id
    as_json = json.dumps({**CONV, "kernel_size": 3, "padding": 1})
    assert Workload.model_validate_json(as_json).canonical_json == short.canonical_json


def test_int32_outputs_have_no_scale_for_a_residual_or_a_relu6() -> None:
    assert "residual needs a scale" in complaint(residual=True, out_dtype="int32")
    assert "relu6 needs a scale" in complaint(activation="relu6", out_dtype="int32")


def test_groups_have_to_divide_both_channels() -> None:
    assert "groups=3 does not divide in_channels=64" in complaint(groups=3)
    assert "groups=64 does not divide out_channels=96" in complaint(groups=64, out_channels=96)


def test_the_kernel_has_to_fit_into_the_padded_input() -> None:
    assert "covers 3 in height, the padded input has only 1" in complaint(height=1, padding=[0, 0, 0, 0])
    assert "covers 113 in width" in complaint(dilation=[1, 56], padding=[1, 1, 1, 1])


def test_sums_that_could_leave_int32_are_refused() -> None:
    assert MAX_REDUCTION * 255 * 128 < 2**31
    assert "int32 sums are exact up to" in complaint(in_channels=8192)


def test_tensors_that_no_machine_holds_are_refused() -> None:
    assert "the padded input takes" in complaint(height=16384, width=16384, stride=[64, 64])
    assert "multiply-adds" in complaint(batch=4096, height=1024, width=1024)


def test_shapes_and_names_follow_the_layout() -> None:
    shapes = {
        "NHWC": ((1, 56, 56, 64), (1, 28, 28, 96)),
        "NCHW": ((1, 64, 56, 56), (1, 96, 28, 28)),
        "NCHW16c": ((1, 4, 56, 56, 16), (1, 6, 28, 28, 16)),
    }
    macs = {96 * 28 * 28 * 64 * 9}
    for layout, (data, result) in shapes.items():
        workload = Workload.model_validate({**CONV, "layout": layout, "out_channels": 96, "stride": [2, 2]})
        assert (workload.input_shape, workload.output_shape) == (data, result)
        assert workload.name.endswith("_" + layout.lower())
        assert {workload.macs} == macs
        assert workload.in_nhwc.input_shape == shapes["NHWC"][0]


def test_channels_of_nchw16c_are_multiples_of_sixteen() -> None:
    assert "in_channels=3 is not a multiple of 16" in complaint(layout="NCHW16c", in_channels=3)
    message = complaint(layout="NCHW16c", out_channels=100)
    assert "out_channels=100 is not a multiple of 16" in message
    assert "use NHWC or NCHW" in message


def test_a_workload_cannot_be_changed() -> None:
    workload = Workload.model_validate(CONV)
    with pytest.raises(InvalidRequest, match="a Workload does not change"):
        workload.batch = 2  # type: ignore[misc]
    assert workload == Workload(**CONV)


def test_a_mistake_is_an_invalid_request_on_every_way_in() -> None:
    with pytest.raises(InvalidRequest, match="batch") as caught:
        Workload.model_validate({**CONV, "batch": 0})
    assert [error["field"] for error in caught.value.errors] == ["batch"]
    assert str(caught.value) == complaint(batch=0)


def test_a_copy_has_an_identity_of_its_own_and_is_as_valid() -> None:
    workload = Workload.model_validate(CONV)
    first_id = workload.id
    copy = workload.model_copy(update={"batch": 2})
    assert copy.id == Workload.model_validate({**CONV, "batch": 2}).id != first_id
    assert copy.name.startswith("n2_")
    assert workload.model_copy() == workload
    with pytest.raises(InvalidRequest, match="batch"):
        workload.model_copy(update={"batch": 0})
    with pytest.raises(InvalidRequest, match="colour"):
        workload.model_copy(update={"colour": "red"})


def test_the_name_reads_like_the_layer() -> None:
    assert Workload.model_validate(CONV).name == "n1_c64_h56w56_o64_k3x3_s1_p1_u8s8u8_nhwc"
    changed = {
        **CONV,
        "stride": [2, 1],
        "padding": [0, 1, 0, 1],
        "dilation": [2, 2],
        "groups": 4,
        "bias": False,
        "activation": "relu",
        "data_dtype": "int8",
        "out_dtype": "int32",
    }
    expected = "n1_c64_h56w56_o64_k3x3_s2x1_p0x1x0x1_d2_g4_s8s8s32_nobias_relu_nhwc"
    assert Workload.model_validate(changed).name == expected


def test_the_identity_never_changes() -> None:
    """Databases hold it: when this fails, stored schedules are lost."""
    assert Workload.model_validate(CONV).id == "04e2e8f8a1d957880d211c7b93bc234a6cee4d85f567ca903e3da6bf7908134f"


def test_the_identity_is_the_same_in_another_process() -> None:
    code = "import sys; from tilewright import Workload; print(Workload.model_validate_json(sys.argv[1]).id)"
    command = [sys.executable, "-c", code, json.dumps(dict(reversed(CONV.items())))]
    other = subprocess.run(command, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == Workload.model_validate(CONV).id


@given(workloads())
def test_json_and_back_is_the_same_workload(workload: Workload) -> None:
    again = Workload.model_validate_json(workload.canonical_json)
    assert again == workload
    assert again.id == workload.id
    assert hash(again) == hash(workload)


@given(workloads(), workloads())
def test_only_equal_workloads_share_an_identity(one: Workload, other: Workload) -> None:
    assert (one.id == other.id) == (one == other)


@given(workloads())
def test_the_output_is_as_large_as_counting_the_windows_says(workload: Workload) -> None:
    top, left, bottom, right = workload.padding
    (kernel_h, kernel_w), (dilation_h, dilation_w) = workload.kernel_size, workload.dilation
    rows = range(0, workload.height + top + bottom - dilation_h * (kernel_h - 1), workload.stride[0])
    columns = range(0, workload.width + left + right - dilation_w * (kernel_w - 1), workload.stride[1])
    assert (workload.out_height, workload.out_width) == (len(rows), len(columns))
    windows = workload.batch * len(rows) * len(columns) * workload.out_channels
    assert workload.macs == windows * kernel_h * kernel_w * workload.in_channels // workload.groups
