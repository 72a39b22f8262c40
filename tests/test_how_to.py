"""The programs in the docs, run as they stand against the real service; what the pages say of their results is so."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tvm
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

import tilewright

from .kernels.references import HAS_EXACT_ONNX_RUNTIME
from .pages import run_page
from .services import ServiceProcess

ROOT = Path(__file__).parents[1]
CONV = {"batch": 1, "in_channels": 32, "height": 8, "width": 8, "out_channels": 32, "kernel_size": [3, 3]}
IN_LOGS = [
    {**CONV, "residual": True, "data_dtype": "int8", "out_dtype": "int8", "layout": "NCHW"},
    {**CONV, "in_channels": 3, "activation": "relu", "out_dtype": "float32"},
    {**CONV, "groups": 32, "out_dtype": "int32"},
    {**CONV, "groups": 16},
]
Names = dict[str, Any]

pytestmark = [pytest.mark.filterwarnings("ignore:using the default kernel"), pytest.mark.soak]
needs_exact_onnx_runtime = pytest.mark.skipif(not HAS_EXACT_ONNX_RUNTIME, reason="its sums saturate without VNNI")


@pytest.fixture(scope="module")
def first_job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The pages find a service, and its logs beside them, with a job in it; gives the names of its workloads."""
    folder = tmp_path_factory.mktemp("how_to")
    with ServiceProcess(folder) as service, pytest.MonkeyPatch.context() as patch:
        (folder / "tuning_logs").symlink_to(service.logs_dir)
        patch.setenv("TILEWRIGHT_URL", service.url)
        patch.setenv("TILEWRIGHT_CACHE_DIR", str(folder / "cache"))
        patch.chdir(folder)
        with tilewright.connect() as hub:
            job = hub.submit(IN_LOGS, trials=1).wait()
        yield [workload.name for workload in job.workloads]


@pytest.fixture(scope="module")
def page(first_job: list[str]) -> Iterator[Names]:
    """The names of docs/how-to/numbers.md at its end."""
    names = run_page(ROOT / "docs" / "how-to" / "numbers.md")
    yield names
    names["hub"].close()


@pytest.fixture
def names(page: Names) -> Iterator[Names]:
    """Its functions look at the model, tensors and constants that are in it; a test may put others there."""
    kept = dict(page)
    yield page
    page.update(kept)


def quantized(name: str, names: Names, source: str = "float.onnx", **options: Any) -> onnx.ModelProto:
    quantize_static(source, name, names["Images"](), quant_format=QuantFormat.QOperator, **options)
    return onnx.load(name)


def take(names: Names, model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """From here on the page's functions work on this model; gives its convolutions."""
    names["tensors"] = names["run"](model, names["image"])
    names["constants"] = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    nodes: list[onnx.NodeProto] = names["convolutions_of"](model)
    return nodes


def count_differing(names: Names, node: onnx.NodeProto, result: str, **changes: Any) -> int:
    """Elements in which the kernel of a node differs from a tensor of the graph."""
    workload, values = names["take_out"](node, **changes)
    given = {"out_scale": names["constants"][node.input[6]].item()} if workload.activation == "relu6" else {}
    y = names["hub"].load(workload).pack(**values, **given)(names["tensors"][node.input[0]])
    return int(np.count_nonzero(y != names["tensors"][result]))


def differing(names: Names, model: onnx.ModelProto) -> list[int]:
    return [count_differing(names, node, node.output[0]) for node in take(names, model)]


def only(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    (node,) = (node for node in model.graph.node if node.op_type == operator)
    return node


@needs_exact_onnx_runtime
def test_every_convolution_of_the_page_equals_onnx_runtime(names: Names) -> None:
    assert list(names["differing"].values()) == [0, 0, 0, 0]


@needs_exact_onnx_runtime
def test_shape_inference_stops_where_the_page_says(names: Names) -> None:
    inferred = onnx.shape_inference.infer_shapes(names["model"])
    known = {each.name for each in inferred.graph.value_info}
    results = [(node.op_type, node.output[0] in known) for node in inferred.graph.node[:-1]]
    assert results == [
        ("QuantizeLinear", True),
        ("QLinearConv", True),
        ("QLinearConv", True),
        ("QLinearConv", True),
        ("QLinearAdd", False),
        ("QLinearConv", False),
    ]


@needs_exact_onnx_runtime
def test_scales_in_float64_change_as_many_bits_as_the_page_says(names: Names) -> None:
    assert names["scales_that_differ"] == 15
    assert names["elements_that_differ"] == 1
    assert names["as_onnx_runtime"].size == 200_704
    assert abs(names["as_onnx_runtime"].astype(int) - names["otherwise"]).max() == 1


@needs_exact_onnx_runtime
def test_symmetric_uint8_weights_are_taken_and_others_refused(names: Names) -> None:
    unsigned = {"weight_type": QuantType.QUInt8, "activation_type": QuantType.QUInt8}
    symmetric = quantized("symmetric.onnx", names, **unsigned, extra_options={"WeightSymmetric": True})
    assert differing(names, symmetric) == [0, 0, 0, 0]
    zero_points = [names["constants"][node.input[5]] for node in take(names, symmetric)]
    assert [(point.dtype, point.item()) for point in zero_points] == [(np.uint8, 128)] * 4
    nodes = take(names, quantized("asymmetric.onnx", names, **unsigned))
    with pytest.raises(AssertionError, match="not symmetric"):
        names["take_out"](nodes[0])
    nodes = take(names, quantized("per_channel.onnx", names, **unsigned, per_channel=True))
    assert not any(names["constants"][node.input[5]].any() for node in nodes)


@needs_exact_onnx_runtime
def test_a_quantizer_drops_activations_or_a_workload_has_them(names: Names) -> None:
    onnx.save(with_a_clip(onnx.load("float.onnx")), "clipped.onnx")
    dropped = quantized("dropped.onnx", names, "clipped.onnx", activation_type=QuantType.QUInt8)
    assert not {"Relu", "Clip"} & {node.op_type for node in dropped.graph.node}
    assert differing(names, dropped) == [0, 0, 0, 0]
    kept = quantized("kept.onnx", names, "clipped.onnx", extra_options={"ActivationSymmetric": True})
    convolutions, nodes = take(names, kept), list(kept.graph.node)
    for node, operator, activation in zip(convolutions, ("Relu", "Clip"), ("relu", "relu6"), strict=False):
        after = nodes[nodes.index(node) + 1 : nodes.index(node) + 4]
        assert [each.op_type for each in after] == ["DequantizeLinear", operator, "QuantizeLinear"]
        assert count_differing(names, node, node.output[0]) == 0
        assert count_differing(names, node, after[2].output[0]) > 0
        assert count_differing(names, node, after[2].output[0], activation=activation) == 0


def with_a_clip(model: onnx.ModelProto) -> onnx.ModelProto:
    """One relu becomes a relu6, of values that reach beyond 6."""
    relu = next(node for node in model.graph.node if node.output[0] == "wide_relu")
    relu.CopyFrom(helper.make_node("Clip", ["wide", "zero", "six"], ["wide_relu"]))
    for name, value in (("zero", 0), ("six", 6)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    for each in model.graph.initializer:
        if each.name in ("wide_w", "wide_b"):
            each.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each) * np.float32(4), each.name))
    return model


@needs_exact_onnx_runtime
def test_relu6_ends_where_the_page_says(names: Names) -> None:
    _, values = names["take_out"](names["nodes"][0])
    x = names["tensors"][names["nodes"][0].input[0]]
    plain, relu6 = (names["take_out"](names["nodes"][0], activation=name)[0] for name in ("none", "relu6"))
    free = names["hub"].load(plain).pack(**values)(x)
    ended = names["hub"].load(relu6).pack(**values, out_scale=0.05)(x)
    zero_point = values["out_zero_point"]
    assert free.max() > zero_point + round(6 / 0.05)
    assert np.array_equal(ended, np.clip(free, zero_point, zero_point + round(6 / 0.05)))


@needs_exact_onnx_runtime
def test_a_fused_residual_differs_from_the_graph_as_the_page_says_and_is_nearer_to_the_sum(names: Names) -> None:
    off, size = names["off"], names["off"][1].size
    assert size == 32 * 32 * 32
    assert 1 / 7 < np.count_nonzero(off[1]) / size < 1 / 5
    assert abs(off[1]).max() == 1
    assert abs(off[4]).max() > 10
    add = only(names["model"], "QLinearAdd")
    exact = exact_sum(names, add)
    fused = names["fused"](names["tensors"][names["node"].input[0]], residual=names["tensors"][add.input[0]])
    assert abs(fused - exact).max() < 0.501
    assert 0.9 < abs(names["tensors"][add.output[0]] - exact).max() < 1.001


def exact_sum(names: Names, add: onnx.NodeProto) -> np.ndarray:
    """What the addition would be without any rounding, in steps of its result."""
    constants, node = names["constants"], next(each for each in names["nodes"] if each.output[0] == add.input[3])
    workload, values = names["take_out"](node, out_dtype="int32")
    known = {name: values[name] for name in ("weight", "bias", "data_zero_point")}
    sums = names["hub"].load(workload).pack(**known)(names["tensors"][node.input[0]]).astype(np.float64)
    scale = constants[node.input[1]].astype(np.float64) * constants[node.input[4]].reshape(-1, 1, 1)
    r = (names["tensors"][add.input[0]] - constants[add.input[2]].astype(np.float64)) * constants[add.input[1]]
    steps = (sums * scale + r) / constants[add.input[6]].astype(np.float64) + constants[add.input[7]]
    return np.clip(steps, 0, 255)


@needs_exact_onnx_runtime
@pytest.mark.parametrize("seed", range(4))
def test_the_addition_of_the_page_equals_the_graph(names: Names, seed: int) -> None:
    image = np.random.default_rng(seed).normal(0, 2, names["image"].shape).astype(np.float32)
    tensors, add = names["run"](names["model"], image), only(names["model"], "QLinearAdd")
    added = names["add_quantized"](tensors[add.input[0]], tensors[add.input[3]])
    assert np.array_equal(added, tensors[add.output[0]])


@needs_exact_onnx_runtime
def test_int32_and_float32_results_are_sums_and_reals(names: Names) -> None:
    assert np.array_equal(names["y"], names["tensors"][names["nodes"][0].output[0]])
    assert names["reals"].dtype == np.float32
    scale = names["real_scale"].reshape(-1, 1, 1)
    assert np.array_equal(names["reals"], names["sums"].astype(np.float32) * scale)


@needs_exact_onnx_runtime
def test_qdq_differs_by_one_in_few_elements_unless_it_is_optimised(names: Names) -> None:
    assert inspect.signature(quantize_static).parameters["quant_format"].default is QuantFormat.QDQ
    level = onnxruntime.GraphOptimizationLevel
    model, qdq, elements, differ = names["model"], onnx.load("qdq.onnx"), 0, 0
    for seed in range(12):
        image = np.random.default_rng(seed).normal(0, 1, names["image"].shape).astype(np.float32)
        expected = names["run"](model, image)
        unoptimised = names["run"](qdq, image, level.ORT_DISABLE_ALL)
        off = unoptimised["narrow_QuantizeLinear_Output"].astype(int) - expected["narrow_quantized"]
        assert abs(off).max() <= 1
        elements, differ = elements + off.size, differ + int(np.count_nonzero(off))
    assert elements == 12 * 32 * 32 * 32
    assert differ / elements < 1e-4


@needs_exact_onnx_runtime
def test_an_optimised_qdq_graph_is_one_of_qlinear_convs_and_the_kernels_equal_it(names: Names) -> None:
    session = onnxruntime.InferenceSession("qdq.onnx", names["options"], providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"image": names["image"]})
    assert np.array_equal(y, names["tensors"]["y"])
    optimised = onnx.load("from_qdq.onnx")
    assert [node.op_type for node in optimised.graph.node] == [node.op_type for node in names["model"].graph.node]
    assert differing(names, optimised) == [0, 0, 0, 0]


@needs_exact_onnx_runtime
def test_qdq_of_the_default_types_is_one_of_qlinear_convs_only_as_the_page_says(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the tensors of this model one has two readers."""
    quantize_static("float.onnx", "int8.onnx", names["Images"]())
    with pytest.raises(AssertionError, match=r"'stem.*see QOperator and QDQ"):
        take(names, onnx.load("int8.onnx"))
    otherwise = onnxruntime.SessionOptions()
    otherwise.graph_optimization_level = names["options"].graph_optimization_level
    with pytest.raises(AssertionError, match="see QOperator and QDQ"):
        take(names, optimised("int8.onnx", otherwise, monkeypatch))
    model = optimised("int8.onnx", names["options"], monkeypatch)
    assert differing(names, model) == [0, 0, 0, 0]
    assert {names["tensors"][node.output[0]].dtype.name for node in take(names, model)} == {"int8"}


def optimised(name: str, options: onnxruntime.SessionOptions, monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    monkeypatch.setattr(options, "optimized_model_filepath", "optimised.onnx")
    onnxruntime.InferenceSession(name, options, providers=["CPUExecutionProvider"])
    return onnx.load("optimised.onnx")


@needs_exact_onnx_runtime
def test_a_kernel_of_the_layout_that_one_has_is_faster_than_transposing(names: Names) -> None:
    assert names["took"]["NCHW"] < names["took"]["NHWC, transposed"]


def test_the_logs_of_a_job_are_read_by_name_and_its_functions_called(
    first_job: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_page(ROOT / "tuning_logs" / "README.md")
    *lines, _ = capsys.readouterr().out.splitlines()
    assert [line.split(" us  ")[1] for line in lines] == first_job
    assert all(float(line.split(" us  ")[0]) > 0 for line in lines)
    assert names["equal"] == dict.fromkeys(first_job, True)


def test_the_page_of_the_logs_names_the_version_of_tvm_that_opens_them() -> None:
    assert f"and {tvm.__version__}; a test" in (ROOT / "tuning_logs" / "README.md").read_text()
