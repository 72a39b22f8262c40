"""What every kernel takes, and the PrimFunc around the blocks of its definition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, no_type_check

from tvm.script import tirx as T

from tilewright.contract.workload import Workload
from tilewright_kernels.tir import Buffer


class Arguments(NamedTuple):
    data: Buffer
    weight: Buffer
    bias: Buffer
    """int32; the zero point of the data is folded into it."""
    scale: Buffer
    """float32."""
    data_zero_point: Buffer
    """int32, (1,), of the data as the instruction takes them."""
    output: Buffer
    """int32, (3,): zero point, and the lowest and highest result before it is added."""
    addition: Buffer
    """float32, (2,): scale and zero point of the residual."""
    residual: Buffer
    out: Buffer


@dataclass(frozen=True)
class Signature:
    """The shapes of the arguments that differ between kinds; data, residual and out belong to the caller."""

    workload: Workload
    data: tuple[int, ...]
    weight: tuple[int, ...]
    weight_dtype: str
    channels: tuple[int, ...]
    """Of bias and scale."""
    out: tuple[int, ...]

    @property
    def residual(self) -> tuple[int, ...]:
        return self.out if self.workload.residual else (1,)


def prim_func(signature: Signature, emit: Callable[[Arguments], None]) -> Any:
    """A PrimFunc of the blocks that `emit` emits. The caller's memory starts anywhere, hence `align=1`."""
    workload = signature.workload

    @no_type_check
    @T.prim_func(s_tir=True)
    def main(
        data: T.Buffer(signature.data, workload.data_dtype, align=1),
        weight: T.Buffer(signature.weight, signature.weight_dtype),
        bias: T.Buffer(signature.channels, "int32"),
        scale: T.Buffer(signature.channels, "float32"),
        data_zero_point: T.Buffer((1,), "int32"),
        output: T.Buffer((3,), "int32"),
        addition: T.Buffer((2,), "float32"),
        residual: T.Buffer(signature.residual, workload.residual_dtype, align=1),
        out: T.Buffer(signature.out, workload.out_dtype, align=1),
    ):
        T.func_attr({"tirx.noalias": True})
        emit(Arguments(data, weight, bias, scale, data_zero_point, output, addition, residual, out))

    return main
