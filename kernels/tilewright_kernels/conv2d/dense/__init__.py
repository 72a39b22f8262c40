"""Convolutions over many channels."""
