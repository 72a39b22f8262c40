"""Heights of workloads that nobody has asked for yet in a cluster: what is known is not tuned again."""

from collections.abc import Iterator
from itertools import count


def fresh_heights() -> Iterator[int]:
    return count(20)


def take(heights: Iterator[int], number: int) -> list[int]:
    return [next(heights) for _ in range(number)]
