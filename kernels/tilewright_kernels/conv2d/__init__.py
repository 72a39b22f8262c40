"""Quantized 2-D convolutions: a folder a kind, and what the kinds share."""
