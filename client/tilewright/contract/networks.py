"""A well-known network, in figures."""

from tilewright.contract.message import Message


class Network(Message):
    name: str
    workloads: int
    """Distinct convolutions."""
    convolutions: int
    macs: int
    """Multiply-adds of all convolutions, for batch 1."""
