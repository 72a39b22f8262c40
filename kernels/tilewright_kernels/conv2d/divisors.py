"""Divisors, for tiles that fit without a remainder."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise


@cache
def divisors(number: int) -> tuple[int, ...]:
    """All divisors of a positive number, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return tuple(sorted({*small, *(number // d for d in small)}))


def cut_evenly(extent: int, sizes: Sequence[int]) -> bool:
    """Whether tiles of `sizes`, one inside the other, cut `extent` without a remainder."""
    return all(inner > 0 and outer % inner == 0 for outer, inner in pairwise((extent, *sizes)))
