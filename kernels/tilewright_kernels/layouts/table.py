"""The layouts there are. A new one is its row here, its traits, and the module of its activations."""

from dataclasses import dataclass

from tilewright.contract.workload import Workload
from tilewright_kernels.layouts.activations import Activations
from tilewright_kernels.layouts.nchw import Nchw
from tilewright_kernels.layouts.nchw16c import Nchw16c
from tilewright_kernels.layouts.nhwc import Nhwc
from tilewright_kernels.layouts.rows import RowStaging
from tilewright_kernels.layouts.staging import Staging


@dataclass(frozen=True)
class Layout:
    activations: type[Activations]
    staging: type[Staging] = Staging
    """How dense kernels lay out their data."""


LAYOUTS = {
    "NHWC": Layout(Nhwc),
    "NCHW": Layout(Nchw, RowStaging),
    "NCHW16c": Layout(Nchw16c),
}


def layout_of(workload: Workload) -> Layout:
    return LAYOUTS[workload.layout]


def whole_data(workload: Workload) -> Activations:
    """All channels together, for kernels that read them in vectors of any size."""
    shape = workload.batch, 1, workload.in_channels, workload.height, workload.width
    return layout_of(workload).activations(*shape, workload.data_dtype)


def whole_results(workload: Workload, lanes: int | None = None) -> Activations:
    """All channels together: in blocks of `lanes`, or, without, for kernels that write vectors of any size."""
    shape = workload.batch, 1, workload.out_channels, workload.out_height, workload.out_width
    activations = layout_of(workload).activations
    if lanes is None:
        return activations(*shape, workload.out_dtype)
    return activations(*shape, workload.out_dtype, lanes, is_flat=False)
