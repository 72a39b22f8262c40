"""The ISA paths there are, held to the contract that names them, and how data reach a dot product."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tilewright.contract.target import ISAS, MACHINES, TargetName
from tilewright_kernels.isa.dots import Dot
from tilewright_kernels.isa.paths import PATHS

DOTS = [path.dot for path in PATHS.values()]
SIGNED = replace(next(dot for dot in DOTS if dot.data_dtype == "uint8"), data_dtype="int8")
"""Like ARM's SDOT."""


def test_the_contract_and_the_kernels_name_the_same_paths_and_machines() -> None:
    assert set(PATHS) == set(ISAS)
    assert get_args(TargetName) == ("auto", *ISAS)
    assert {path.architecture.machine for path in PATHS.values()} == set(MACHINES)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("dot", [*DOTS, SIGNED], ids=lambda dot: f"{dot.isa}-{dot.data_dtype}")
def test_the_offset_makes_operands_of_all_data_and_keeps_their_distances(dot: Dot, dtype: str) -> None:
    data = np.arange(*((0, 256) if dtype == "uint8" else (-128, 128)))
    moved = data + dot.data_offset(dtype)
    assert (moved == moved.astype(dot.data_dtype)).all()


def test_kernels_are_exact_on_a_path_whose_dot_product_multiplies_signed_data() -> None:
    command = [sys.executable, "-m", "tests.kernels.signed_dot"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]
