"""NCHW: every channel of a group is a plane of its own, so activations come in and go out through NHWC buffers."""

from tilewright_kernels.layouts.planes import Planes
from tilewright_kernels.layouts.transposes import export_planes, import_planes
from tilewright_kernels.tir import Buffer, allocate


class Nchw(Planes):
    def imported(self, array: Buffer, block: str) -> Buffer:
        buffer = allocate("imported", self.buffer_shape, str(array.dtype))
        import_planes(self, array, buffer, block)
        return buffer

    def result(self, out: Buffer) -> Buffer:
        return allocate("result", self.buffer_shape, self.dtype)

    def export(self, result: Buffer, out: Buffer) -> None:
        export_planes(self, result, out)
