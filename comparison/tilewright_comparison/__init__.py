"""Fair comparisons with the kernels of others."""
