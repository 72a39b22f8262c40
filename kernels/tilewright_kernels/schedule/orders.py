"""In which order loops run."""

from collections.abc import Sequence

from tvm.s_tir.schedule import Schedule


def sample_order(sch: Schedule, orders: Sequence[tuple[str, ...]], index: int | None) -> tuple[str, ...]:
    """One of `orders`, each the names of loops, outermost first: that at `index`, or one that MetaSchedule draws."""
    even = [1 / len(orders)] * len(orders)
    drawn = sch.sample_categorical(list(range(len(orders))), even, decision=index)
    return orders[int(sch.get(drawn))]
