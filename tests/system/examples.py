"""Workloads that are tuned in seconds; `number` makes them differ."""

from typing import Any

from tilewright.contract.workload import Workload


def dense(number: int = 0, **fields: Any) -> Workload:
    """Some 50 candidates where there is a dot-product instruction."""
    shape = {"batch": 1, "in_channels": 32 + 4 * number, "height": 16, "width": 16, "out_channels": 64}
    return Workload.model_validate({**shape, "kernel_size": (3, 3), "padding": (1, 1, 1, 1), **fields})


def depthwise(number: int = 0) -> Workload:
    """Some fifty candidates or more where there is a dot-product instruction; elsewhere the generic space has it."""
    shape = {"batch": 1, "in_channels": 128, "height": 24, "width": 8 + 2 * number, "out_channels": 128}
    return Workload.model_validate({**shape, "kernel_size": (3, 3), "padding": (1, 1, 1, 1), "groups": 128})
