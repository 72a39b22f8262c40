"""What is computed, before anything is said about how: one PrimFunc factory per kind of convolution."""
