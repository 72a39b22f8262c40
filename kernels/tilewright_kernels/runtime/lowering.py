"""How a scheduled kernel becomes machine code: TVM's lowering, with the register tiles on the stack."""

from math import prod
from typing import Any

import tvm
from tvm.tirx.compilation_pipeline import get_tir_pipeline, register_tir_pipeline
from tvm_ffi import structural_mutate

PIPELINE = "tilewright"
MOST_STACK_BYTES = 8 * 1024
"""A register tile is at most 32 vectors of 64 bytes, and may be there twice: as sums and requantised."""

KEEP_ON_STACK = "disable_lower_builtin"
"""TVM's annotation for an allocation that is left to LLVM."""


def keep_tiles_on_stack(function: Any, _module: Any, _context: Any) -> Any:
    """Leave small buffers to LLVM, which then sees that nobody else has their addresses and keeps them in registers.

    TVM does so below 1 KiB, and allocates what is larger from a pool at run time: in a parallel loop twice a tile,
    with every sum stored for a reader that does not exist.
    """
    return function.with_body(structural_mutate(function.body, (tvm.tirx.AllocBuffer, _annotated)))


def _annotated(allocation: Any, _mutator: Any) -> Any:
    if not 0 < constant_bytes(allocation.buffer) <= MOST_STACK_BYTES:
        return allocation
    return tvm.tirx.AllocBuffer(
        allocation.buffer, {**allocation.annotations, KEEP_ON_STACK: tvm.tirx.IntImm("int32", 1)}
    )


def constant_bytes(buffer: Any) -> int:
    """The size of a buffer; 0 where it is known only at run time."""
    extents = [int(getattr(extent, "value", 0)) for extent in buffer.shape]
    return int(prod(extents) * tvm.DataType(buffer.dtype).itemsize)


def _pipeline() -> tuple[Any, Any, Any]:
    lower, finalize_host, finalize_device = get_tir_pipeline("default")
    keep = tvm.tirx.transform.prim_func_pass(keep_tiles_on_stack, opt_level=0)

    def finalize() -> Any:
        return tvm.ir.transform.Sequential([keep, finalize_host()])

    return lower, finalize, finalize_device


register_tir_pipeline(PIPELINE, _pipeline)
