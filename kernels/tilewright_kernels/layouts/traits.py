"""What kinds of convolution ask of a layout before anything is scheduled. No TVM here, as choices need none."""

from dataclasses import dataclass

from tilewright.contract.workload import CHANNEL_BLOCK, Workload


@dataclass(frozen=True)
class Traits:
    """How the channels of a pixel lie."""

    channels_together: int | None
    """How many stand side by side; None for all of them."""

    @property
    def is_transposed(self) -> bool:
        """Whether each channel is a plane: then blocks import activations into NHWC buffers, and export them."""
        return self.channels_together == 1

    @property
    def is_chunked(self) -> bool:
        """Whether channels stand together in chunks, the next chunk an image further."""
        return self.channels_together is not None and not self.is_transposed

    @property
    def result_chunk(self) -> int | None:
        """Channels that stand together where a kernel stores results, which buffers of transposed layouts have, too."""
        return CHANNEL_BLOCK if self.is_transposed else self.channels_together

    @property
    def images_touch(self) -> bool:
        """Whether the last pixel of an image is followed by the first of the next one."""
        return self.channels_together is None


TRAITS = {
    "NHWC": Traits(channels_together=None),
    "NCHW": Traits(channels_together=1),
    "NCHW16c": Traits(channels_together=CHANNEL_BLOCK),
}

IMPORT_DATA = "import_data"
IMPORT_RESIDUAL = "import_residual"
EXPORT = "export"
"""The blocks of a transposed layout; data are imported by kinds that read them by pixel."""


def traits_of(workload: Workload) -> Traits:
    return TRAITS[workload.layout]
