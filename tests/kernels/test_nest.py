# mypy: disable-error-code="untyped-decorator,no-untyped-def,valid-type"
"""Loops of a schedule are addressed by the names of the block variables that they drive."""

import pytest
from tvm.s_tir import Schedule
from tvm.script import tirx as T  # noqa: N812

from tilewright_kernels.schedule.nest import Nest, attach, find_nest


@T.prim_func(s_tir=True)
def row_sums(data: T.Buffer((1, 8, 6), "int32"), out: T.Buffer((1, 8), "int32")):
    sums = T.sblock_alloc_buffer((1, 8), "int32")
    for n, h, w in T.grid(1, 8, 6):
        with T.sblock("sums"):
            vn, vh, vw = T.axis.remap("SSR", [n, h, w])
            with T.init():
                sums[vn, vh] = 0
            sums[vn, vh] = sums[vn, vh] + data[vn, vh, vw]
    for n, h in T.grid(1, 8):
        with T.sblock("results"):
            vn, vh = T.axis.remap("SS", [n, h])
            out[vn, vh] = sums[vn, vh] * 2


def extents(sch: Schedule, nest: Nest) -> dict[str, int]:
    return {name: int(sch.get(loop).extent) for name, loop in nest.loops.items()}


def test_loops_are_called_as_what_they_drive() -> None:
    sch = Schedule(row_sums)
    assert extents(sch, find_nest(sch, "sums")) == {"n": 1, "h": 8, "w": 6}


def test_of_the_loops_of_a_split_one_the_innermost_keeps_the_name() -> None:
    sch = Schedule(row_sums)
    sch.split(find_nest(sch, "results")["h"], [4, 2])
    assert extents(sch, find_nest(sch, "results"))["h"] == 2


def test_names_outlive_the_move_of_a_block_and_the_split_of_its_reduction() -> None:
    sch = Schedule(row_sums)
    rows, _ = sch.split(find_nest(sch, "results")["h"], [4, 2])
    moved = attach(sch, "sums", rows)
    assert extents(sch, moved) == {"n": 1, "h": 2, "w": 6}
    sch.reorder(*moved.pick("w", "h"))
    start = sch.decompose_reduction(moved.block, moved["w"])
    assert extents(sch, Nest.around(sch, start)) == {"n": 1, "h": 2}
    assert extents(sch, find_nest(sch, "sums_update")) == {"n": 1, "h": 2, "w": 6}


def test_a_loop_that_a_block_has_not_is_an_error() -> None:
    sch = Schedule(row_sums)
    with pytest.raises(KeyError, match="kw"):
        find_nest(sch, "sums").pick("n", "kw")
