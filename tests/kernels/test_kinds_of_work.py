"""Every kind of convolution that a quantized CNN contains is served by a structured space on a VNNI host."""

from typing import Any

import pytest

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.isa.instruction_count import assembly, count_instructions
from tilewright_kernels.runtime.build import build, default_candidate

from .cases import structured

VNNI = (Isa.AVX512_VNNI, Isa.AVX_VNNI)


def conv(channels: int, size: int, out_channels: int, kernel: int | tuple[int, int], **fields: Any) -> Workload:
    """As large as its input, unless `fields` say otherwise."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    shape = {"batch": 1, "in_channels": channels, "height": size, "width": size, "out_channels": out_channels}
    padding = (height // 2, width // 2, height // 2, width // 2)
    return Workload.model_validate({**shape, "kernel_size": (height, width), "padding": padding, **fields})


KINDS: dict[str, tuple[str, Workload]] = {
    "1x1": ("dense", conv(64, 56, 256, 1)),
    "3x3": ("dense", conv(64, 56, 64, 3)),
    "5x5": ("dense", conv(48, 28, 64, 5)),
    "7x7": ("dense", conv(32, 28, 32, 7)),
    "1x7": ("dense", conv(128, 17, 128, (1, 7))),
    "7x1": ("dense", conv(128, 17, 128, (7, 1))),
    "1x1, stride 2": ("dense", conv(256, 56, 512, 1, stride=(2, 2))),
    "3x3, stride 2": ("dense", conv(128, 56, 128, 3, stride=(2, 2))),
    "dilation": ("dense", conv(64, 28, 64, 3, dilation=(2, 2), padding=(2, 2, 2, 2))),
    "large input channels": ("dense", conv(2048, 7, 512, 1)),
    "small spatial size": ("dense", conv(512, 7, 512, 3)),
    "one pixel": ("dense", conv(1280, 1, 1000, 1)),
    "one pixel of a batch": ("dense", conv(512, 1, 1000, 1, batch=16)),
    "output channels that are no multiple of 16": ("dense", conv(32, 28, 21, 3)),
    "input channels that are no multiple of 4": ("dense", conv(30, 28, 32, 3)),
    "input channels and output channels that are odd": ("dense", conv(37, 14, 19, 1)),
    "1 input channel": ("few_channels", conv(1, 28, 32, 5)),
    "3 input channels, 7x7": ("few_channels", conv(3, 224, 64, 7, stride=(2, 2))),
    "3 input channels, 3x3": ("few_channels", conv(3, 224, 32, 3, stride=(2, 2))),
    "3 input channels, dilation": ("dense", conv(3, 56, 32, 3, dilation=(2, 2), padding=(2, 2, 2, 2))),
    "4 input channels": ("dense", conv(4, 112, 32, 3)),
    "depthwise 3x3": ("depthwise", conv(144, 56, 144, 3, groups=144)),
    "depthwise 3x3, stride 2": ("depthwise", conv(96, 112, 96, 3, groups=96, stride=(2, 2))),
    "depthwise 5x5": ("depthwise", conv(120, 28, 120, 5, groups=120)),
    "depthwise 5x5, stride 2": ("depthwise", conv(72, 56, 72, 5, groups=72, stride=(2, 2))),
    "depthwise, odd channels": ("depthwise", conv(37, 14, 37, 3, groups=37)),
    "depth multiplier": ("grouped", conv(32, 28, 64, 3, groups=32)),
    "ResNeXt, 4 channels of 32 groups": ("grouped", conv(128, 56, 128, 3, groups=32)),
    "ResNeXt, 16 channels of 32 groups": ("dense", conv(512, 14, 512, 3, groups=32)),
    "ShuffleNet": ("dense", conv(240, 28, 60, 1, groups=3)),
    "batch 8": ("dense", conv(64, 28, 64, 3, batch=8)),
    "batch 256": ("dense", conv(64, 7, 64, 1, batch=256)),
    "int8 activations": ("dense", conv(64, 28, 64, 3, data_dtype="int8", out_dtype="int8")),
    "int8 activations, 3 channels": ("few_channels", conv(3, 56, 32, 3, data_dtype="int8")),
    "int8 activations, depthwise": ("depthwise", conv(64, 28, 64, 3, groups=64, data_dtype="int8")),
    "relu": ("dense", conv(64, 28, 64, 3, activation="relu")),
    "relu6": ("dense", conv(64, 28, 64, 3, activation="relu6")),
    "residual": ("dense", conv(64, 28, 64, 3, residual=True)),
    "residual, depthwise": ("grouped", conv(64, 28, 64, 3, groups=64, residual=True)),
    "no bias": ("dense", conv(64, 28, 64, 3, bias=False)),
    "int32 output": ("dense", conv(64, 28, 64, 3, out_dtype="int32")),
    "float32 output": ("dense", conv(64, 28, 64, 3, out_dtype="float32")),
    "padding on one side": ("dense", conv(64, 28, 64, 3, padding=(0, 0, 1, 1))),
}

OTHERWISE = {
    # Four channels of a group fill half of eight lanes, which is enough for a broadcast to pay.
    ("ResNeXt, 4 channels of 32 groups", Isa.AVX_VNNI): "dense",
    # Eight lanes are filled by 120 channels, so the two quads of a row of five taps are made once and stored.
    ("depthwise 5x5", Isa.AVX_VNNI): "grouped",
}


@pytest.mark.parametrize("isa", VNNI)
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_work_has_a_structured_space_whose_inner_loop_is_dot_products(kind: str, isa: Isa) -> None:
    family, workload = KINDS[kind]
    space, target = structured(workload, isa), Target(isa=isa)
    assert space.name == f"{OTHERWISE.get((kind, isa), family)}_{isa}"
    count = count_instructions(assembly(build(workload, target, default_candidate(workload, space, target))), isa)
    assert count.dot_products > 0


@pytest.mark.parametrize("isa", VNNI)
@pytest.mark.parametrize("kind", ["3x3", "3 input channels, 7x7", "depthwise 3x3"])
def test_a_structured_space_multiplies_with_dot_products_on_many_threads_too(kind: str, isa: Isa) -> None:
    family, workload = KINDS[kind]
    space, target = structured(workload, isa), Target(isa=isa, threads=8)
    assert space.name == f"{family}_{isa}"
    count = count_instructions(assembly(build(workload, target, default_candidate(workload, space, target))), isa)
    assert count.in_loop
    assert count.dot_products > 0
