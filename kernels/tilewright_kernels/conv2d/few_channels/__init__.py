"""Convolutions of few input channels."""
