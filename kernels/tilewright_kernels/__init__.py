"""Quantized conv2d in TVM: definitions, tensor intrinsics, spaces, numerics, build, run.

Importing it registers the tensor intrinsics, which whatever replays one of our traces needs.
"""

from tilewright_kernels.intrinsics import register

register()
