"""Reading a choice back from the decisions of a trace, which may come from anywhere: nothing of it is replayed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

MOST = 2**31
"""No loop is longer, so no factor is larger."""


@dataclass(frozen=True)
class Tiles:
    """`sample_perfect_tile`, which cuts a loop into tiles of these names, largest first; the factors are one more."""

    names: tuple[str, ...]

    def read(self, decision: Any) -> dict[str, int] | None:
        is_fit = isinstance(decision, list) and len(decision) == len(self.names) + 1
        if not is_fit or not all(_is_between(factor, 1, MOST) for factor in decision):
            return None
        return {name: prod(decision[place:]) for place, name in enumerate(self.names, start=1)}


@dataclass(frozen=True)
class Category:
    """`sample_categorical`, which picks one of the values."""

    name: str
    values: tuple[int, ...]

    def read(self, decision: Any) -> dict[str, int] | None:
        return {self.name: self.values[decision]} if _is_between(decision, 0, len(self.values) - 1) else None


def read_choice(decisions: Sequence[Any], sampled: Sequence[Tiles | Category]) -> dict[str, int] | None:
    """What was chosen, when these decisions are of exactly these samples, in their order; otherwise None."""
    choice: dict[str, int] = {}
    if len(decisions) != len(sampled):
        return None
    for entry, sample in zip(decisions, sampled, strict=True):
        read = sample.read(entry[1]) if isinstance(entry, list) and len(entry) == 2 else None
        if read is None:
            return None
        choice |= read
    return choice


def _is_between(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
