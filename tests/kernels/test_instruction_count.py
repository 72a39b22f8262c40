"""The instructions counted in real kernels, and of a few lines of assembly whose loops are known."""

import re

import pytest

from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.spaces import space_named, space_of
from tilewright_kernels.isa.instruction_count import assembly, count_instructions
from tilewright_kernels.runtime.build import build, default_candidate

DENSE = Workload(
    batch=1, in_channels=64, height=14, width=14, out_channels=64, kernel_size=(3, 3), padding=(1, 1, 1, 1)
)
ON_EACH_PATH = pytest.mark.parametrize("isa", list(Isa))

STRONGER = {
    Isa.AVX512_VNNI: r"tdpbusd",
    Isa.AVX_VNNI: r"%zmm|%k\d",
    Isa.AVX512BW: r"vpdp",
    Isa.AVX2: r"%zmm|%k\d|vpdp",
    Isa.X86_64: r"%ymm|%zmm|%k\d|\tv[a-z]",
}
"""What code for a path must not hold: instructions and registers that only a stronger one has."""


def assembly_of(workload: Workload, isa: Isa) -> str:
    """Of the default schedule; no host has to have the path, as nothing is run."""
    target = Target(isa=isa)
    return assembly(build(workload, target, default_candidate(workload, space_of(workload, isa), target)))


def code_of(text: str) -> str:
    """The instructions alone: strings and names of symbols may hold anything."""
    return "\n".join(line for line in text.splitlines() if line.startswith("\t") and line[1] != ".")


@pytest.mark.parametrize(
    ("isa", "instruction", "bits"),
    [
        (Isa.AVX512_VNNI, "vpdpbusd", 512),
        (Isa.AVX_VNNI, "vpdpbusd", 256),
        (Isa.AVX512BW, "vpmaddwd", 512),
        (Isa.AVX2, "vpmaddwd", 256),
        (Isa.X86_64, "pmaddwd", 128),
    ],
)
def test_a_dense_kernel_has_the_dot_products_of_its_path_in_its_inner_loop(
    isa: Isa, instruction: str, bits: int
) -> None:
    count = count_instructions(assembly_of(DENSE, isa), isa)
    assert (count.instruction, count.register_bits) == (instruction, bits)
    assert count.in_loop
    assert 8 <= count.dot_products < count.instructions < 100
    assert count.dot_products <= count.dot_products_in_kernel


@ON_EACH_PATH
@pytest.mark.parametrize("groups", [1, 64], ids=["dense", "depthwise"])
def test_a_kernel_holds_no_instruction_of_a_stronger_path_and_none_that_saturates(isa: Isa, groups: int) -> None:
    code = code_of(assembly_of(DENSE.model_copy(update={"groups": groups}), isa))
    assert re.findall(STRONGER[isa], code) == []
    assert "pmaddubsw" not in code, "its int16 sums saturate"


@pytest.mark.parametrize("isa", [Isa.AVX512_VNNI, Isa.AVX_VNNI])
def test_a_kernel_of_the_generic_space_counts_no_dot_products(isa: Isa) -> None:
    target = Target(isa=isa)
    candidate = default_candidate(DENSE, space_named("generic"), target)
    count = count_instructions(assembly(build(DENSE, target, candidate)), isa)
    assert (count.dot_products, count.instructions, count.in_loop) == (0, 0, False)
    assert count.dot_products_in_kernel == 0


NESTED = """
	.type	main,@function
main:
	pushq	%rbp
	jmp	.LBB0_2
.LBB0_1:
	vpdpbusd	%zmm1, %zmm2, %zmm3
	addq	$1, %rax
.LBB0_2:
	xorl	%ecx, %ecx
.LBB0_3:
	vpdpbusd	%zmm1, %zmm2, %zmm3
	vpdpbusd	%zmm1, %zmm2, %zmm4
	vpdpbusd	%ymm1, %ymm2, %ymm4
	testq	%rcx, %rcx
	je	.LBB0_5
	incq	%rcx
	jmp	.LBB0_3
.LBB0_5:
	cmpq	$3, %rax
	jne	.LBB0_1
	vpdpbusd	%zmm1, %zmm2, %zmm5
.LBB0_6:
	retq
.LBB0_7:
	jmp	.LBB0_6
.Lfunc_end0:
"""
"""A loop of three blocks inside another that is entered in its middle; the jump back at the end is no loop."""


def test_each_instruction_counts_for_the_innermost_loop_around_it() -> None:
    count = count_instructions(NESTED, Isa.AVX512_VNNI)
    assert (count.dot_products, count.instructions, count.in_loop) == (2, 7, True)
    assert count.dot_products_in_kernel == 4


def test_the_instructions_of_code_without_a_loop_are_counted_as_they_stand() -> None:
    straight = re.sub(r"\tj.*\n", "", NESTED)
    count = count_instructions(straight, Isa.AVX512_VNNI)
    assert (count.dot_products, count.in_loop) == (4, False)
    assert count.instructions == 12
