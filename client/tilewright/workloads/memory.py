"""How much memory a workload takes of a host that tunes it: whoever may refuse one asks here."""

from math import prod

from tilewright.contract.workload import BYTES, Workload

BASE_BYTES = 2**29
"""TVM, LLVM, and what an evaluator works on at once."""

SHARE_OF_HOST = 0.4
"""Of the memory of a host, for each of its two evaluators: the rest is the attempt's, and whoever else is there."""

INPUTS, OUTPUTS, RESIDUALS, WEIGHTS = 7, 6, 5, 6
"""Copies: to time a kernel on, to verify it on, in the reference's layout, with borders, and as TVM has them."""

ROW_BYTES = 40
"""For each number of a row, which the reference computes at once."""


def bytes_needed(workload: Workload) -> int:
    """By an evaluator in the gate, where it needs most; somewhat more than it was ever seen to take."""
    outputs = prod(workload.output_shape)
    tensors = INPUTS * padded_elements(workload) + OUTPUTS * outputs * BYTES[workload.out_dtype]
    if workload.residual:
        tensors += RESIDUALS * outputs * BYTES[workload.residual_dtype]
    group = prod(workload.weight_shape[:2]) // workload.groups  # one tap of it, in eight bytes a number
    weights = WEIGHTS * prod(workload.weight_shape) + 2 * 8 * group
    return BASE_BYTES + tensors + weights + ROW_BYTES * row_elements(workload)


def misfit(workload: Workload, host_bytes: int) -> str | None:
    """Why a host with so much memory cannot tune it, to a person; None where it can."""
    needed, given = bytes_needed(workload), host_bytes * SHARE_OF_HOST
    if needed <= given:
        return None
    return (
        f"{workload.name} needs about {needed / 2**30:.1f} GiB of memory in each of two evaluators; "
        f"this host can give {given / 2**30:.1f} GiB to each"
    )


def padded_elements(workload: Workload) -> int:
    top, left, bottom, right = workload.padding
    height, width = workload.height + top + bottom, workload.width + left + right
    return workload.batch * height * width * workload.in_channels


def row_elements(workload: Workload) -> int:
    """Of a row of the output, its sums and the rows of input that it needs."""
    _, left, _, right = workload.padding
    rows = (workload.kernel_size[0] - 1) * workload.dilation[0] + 1
    return rows * (left + workload.width + right) * workload.in_channels + workload.out_width * workload.out_channels
