"""Where data are copied before they are used: the staged input, and activations that come in and go out transposed."""

from collections.abc import Sequence

from tvm.s_tir.schedule import LoopRV, SBlockRV, Schedule

from tilewright_kernels.layouts.traits import EXPORT, IMPORT_DATA, IMPORT_RESIDUAL
from tilewright_kernels.schedule.nest import attach, find_nest
from tilewright_kernels.schedule.parallel import share, share_block

STAGE = "stage"
TRANSPOSES = IMPORT_DATA, IMPORT_RESIDUAL, EXPORT


def place_copy(
    sch: Schedule, threads: int, image: LoopRV | None, *, rows: Sequence[str], channels: str, vector: int
) -> None:
    """Copy the padded input, `vector` of its `channels` at a time.

    One thread does it inside `image`, so that an image stays in cache, or, without that loop, all at once. Several
    threads share the loops `rows`.
    """
    stage = find_nest(sch, STAGE)
    if threads > 1:
        share(sch, stage.pick(*rows))
    elif image is not None:
        stage = attach(sch, STAGE, image)
    _, lanes = sch.split(stage[channels], [None, vector])
    sch.vectorize(lanes)


def place_transposes(sch: Schedule, threads: int, loop: LoopRV) -> None:
    """Transpose activations inside `loop`, which has all channels of what it goes through; for threads, all."""
    for block in _transposes(sch):
        if sch.get(block).name_hint == EXPORT and threads == 1:
            sch.reverse_compute_at(block, loop, preserve_unit_loops=True)
        else:
            place_import(sch, block, threads, loop)


def place_import(sch: Schedule, block: SBlockRV, threads: int, loop: LoopRV) -> None:
    if threads > 1:
        share_block(sch, block)
    else:
        sch.compute_at(block, loop, preserve_unit_loops=True)


def share_transposes(sch: Schedule) -> None:
    """Share among threads whatever activations are transposed by themselves."""
    for block in _transposes(sch):
        share_block(sch, block)


def _transposes(sch: Schedule) -> list[SBlockRV]:
    """The blocks that bring activations in and out in another layout; most layouts need none."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    return [block for block in blocks if sch.get(block).name_hint in TRANSPOSES]
