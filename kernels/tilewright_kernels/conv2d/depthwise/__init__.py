"""Depthwise convolutions to bytes."""
