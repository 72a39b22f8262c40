"""Primitives of schedules that no kind of convolution owns."""
