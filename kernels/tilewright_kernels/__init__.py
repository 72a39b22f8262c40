"""Quantized conv2d in TVM: definitions, tensor intrinsics, spaces, numerics, build, run."""
