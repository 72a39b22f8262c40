"""Workloads that are tuned in seconds; `number` makes them differ."""

from typing import Any

from tilewright.contract import Workload


def dense(number: int = 0, **fields: Any) -> Workload:
    """Some 50 candidates where there is a dot-product instruction."""
    shape = {"batch": 1, "in_channels": 32 + 4 * number, "height": 16, "width": 16, "out_channels": 64}
    return Workload.model_validate({**shape, "kernel_size": (3, 3), "padding": (1, 1, 1, 1), **fields})


def grouped(number: int = 0) -> Workload:
    """For the generic space, which is practically endless."""
    shape = {"batch": 1, "in_channels": 16, "height": 6 + number, "width": 6, "out_channels": 16}
    return Workload.model_validate({**shape, "kernel_size": (3, 3), "groups": 2})
