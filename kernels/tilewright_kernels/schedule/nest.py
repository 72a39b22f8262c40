"""Loops by their names.

A definition calls its block variables `vn`, `vh`, `vkh` ...; a loop is called as the variable that it drives, without
the v. Such a name outlives `compute_at`, which makes new loops, and no step of a schedule counts positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tvm.ir import Expr
from tvm.s_tir.schedule import LoopRV, SBlockRV, Schedule
from tvm.tirx.analysis import undefined_vars


@dataclass(frozen=True)
class Nest:
    """A block and the loops that drive its variables, by the names of these."""

    block: SBlockRV
    loops: Mapping[str, LoopRV]

    @classmethod
    def around(cls, sch: Schedule, block: SBlockRV) -> "Nest":
        """As the loops are now; where several drive a variable, such as the two of a split one, the innermost."""
        loops = sch.get_loops(block)
        realize = sch.get(loops[-1]).body
        named = {}
        for variable, value in zip(realize.block.iter_vars, realize.iter_values, strict=True):
            driver = _innermost_in(sch, loops, value)
            if driver is not None:
                named[variable.var.name.removeprefix("v")] = driver
        return cls(block, named)

    def __getitem__(self, name: str) -> LoopRV:
        return self.loops[name]

    def pick(self, *names: str) -> list[LoopRV]:
        """The loops of these names, in this order."""
        return [self.loops[name] for name in names]


def _innermost_in(sch: Schedule, loops: list[LoopRV], value: Expr) -> LoopRV | None:
    """The innermost of `loops` whose variable stands in `value`."""
    used = undefined_vars(value)
    drivers = (loop for loop in reversed(loops) if any(sch.get(loop).loop_var.same_as(each) for each in used))
    return next(drivers, None)


def find_nest(sch: Schedule, name: str) -> Nest:
    """The nest around the block `name` of the definition."""
    return Nest.around(sch, sch.get_sblock(name))


def attach(sch: Schedule, name: str, loop: LoopRV) -> Nest:
    """Compute a block inside `loop`, as much of it as is read there; gives its nest in that place."""
    block = sch.get_sblock(name)
    sch.compute_at(block, loop, preserve_unit_loops=True)
    return Nest.around(sch, block)
