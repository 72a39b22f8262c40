"""What the cost expectations of all kinds share."""

from tilewright.contract.workload import Workload

NARROWING_CYCLES = {1: 2.2, 2: 1.6, 4: 1.4}
"""To requantise one vector of sums, by how many are packed together: packing is shared, scaling is not."""


def layout_features(workload: Workload) -> list[float]:
    """One for each layout but NHWC."""
    return [float(workload.layout == layout) for layout in ("NCHW", "NCHW16c")]
