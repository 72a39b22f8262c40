"""The convolutions of well-known networks at 224 x 224, as torchvision builds them, quantized as ONNX Runtime does it.

Every convolution takes and gives uint8, with a bias into which the batch norm is folded. Its `activation` is "none":
in a quantized model relu and relu6 are the saturation of uint8 itself (zero point 0, and the scale for the 6).
Residual additions, pooling and fully connected layers are not convolutions, so they are not in it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tilewright.contract.workload import Workload
from tilewright.errors import InvalidRequest, UnknownNetwork


def network_workloads(name: str, batch: int = 1) -> list[tuple[Workload, int]]:
    """The distinct convolutions of a network in the order they appear, with how often each occurs."""
    if name not in _ARCHITECTURES:
        raise UnknownNetwork(f"there is no network {name!r}; known are {', '.join(NETWORKS)}")
    tape = _Tape(batch)
    try:
        _ARCHITECTURES[name](tape, _Image(channels=3, size=224))
    except InvalidRequest as error:
        reason = error.detail
        raise InvalidRequest(f"batch {batch} of {name}: {reason}", [{"field": "batch", "message": reason}]) from error
    return list(Counter(tape.convolutions).items())


@dataclass(frozen=True)
class _Image:
    """What flows between the layers: `size` x `size` pixels."""

    channels: int
    size: int

    def pool(self, stride: int) -> "_Image":
        return _Image(self.channels, -(-self.size // stride))


@dataclass
class _Tape:
    """Follows an image through a network and writes every convolution down."""

    batch: int
    convolutions: list[Workload] = field(default_factory=list)

    def conv(self, image: _Image, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> _Image:
        border = kernel // 2
        workload = Workload(
            batch=self.batch,
            in_channels=image.channels,
            height=image.size,
            width=image.size,
            out_channels=out_channels,
            kernel_size=(kernel, kernel),
            stride=(stride, stride),
            padding=(border, border, border, border),
            groups=groups,
        )
        self.convolutions.append(workload)
        return _Image(out_channels, workload.out_height)


_Block = Callable[[_Tape, _Image, int, int], _Image]


def _resnet(block: _Block, depths: tuple[int, ...], tape: _Tape, image: _Image) -> None:
    x = tape.conv(image, 64, kernel=7, stride=2).pool(stride=2)
    for stage, depth in enumerate(depths):
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            x = block(tape, x, 64 * 2**stage, stride)


def _basic_block(tape: _Tape, x: _Image, width: int, stride: int) -> _Image:
    y = tape.conv(x, width, kernel=3, stride=stride)
    y = tape.conv(y, width, kernel=3)
    return _join(tape, x, y, stride)


def _bottleneck(tape: _Tape, x: _Image, width: int, stride: int) -> _Image:
    """ResNet v1.5: the stride is on the 3x3, not on the first 1x1."""
    y = tape.conv(x, width)
    y = tape.conv(y, width, kernel=3, stride=stride)
    y = tape.conv(y, 4 * width)
    return _join(tape, x, y, stride)


def _join(tape: _Tape, x: _Image, y: _Image, stride: int) -> _Image:
    """Where a block changes the shape, its shortcut is a 1x1 convolution."""
    return y if x == y else tape.conv(x, y.channels, stride=stride)


_MOBILENET_V2_STAGES = (
    # expansion, out_channels, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _mobilenet_v2(tape: _Tape, image: _Image) -> None:
    x = tape.conv(image, 32, kernel=3, stride=2)
    for expansion, out_channels, blocks, first_stride in _MOBILENET_V2_STAGES:
        for index in range(blocks):
            stride = first_stride if index == 0 else 1
            x = _inverted_residual(tape, x, expansion, out_channels, stride)
    tape.conv(x, 1280)


def _inverted_residual(tape: _Tape, x: _Image, expansion: int, out_channels: int, stride: int) -> _Image:
    """Widen, filter every channel by itself, project back."""
    wide = x if expansion == 1 else tape.conv(x, expansion * x.channels)
    filtered = tape.conv(wide, wide.channels, kernel=3, stride=stride, groups=wide.channels)
    return tape.conv(filtered, out_channels)


_ARCHITECTURES: dict[str, Callable[[_Tape, _Image], None]] = {
    "resnet18": partial(_resnet, _basic_block, (2, 2, 2, 2)),
    "resnet50": partial(_resnet, _bottleneck, (3, 4, 6, 3)),
    "mobilenet_v2": _mobilenet_v2,
}

NETWORKS: tuple[str, ...] = tuple(_ARCHITECTURES)
