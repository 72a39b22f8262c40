"""How many dot-product instructions the inner loop of a built kernel has, counted in its machine code."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import tvm

from tilewright.contract.schedules import InstructionCount
from tilewright.contract.target import Isa
from tilewright_kernels.isa.architecture import Assembly
from tilewright_kernels.isa.paths import PATHS

FUNCTION = re.compile(r"@function\n(.*?)\n\.Lfunc_end", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Instructions that run one after the other."""

    label: str
    """What a jump to it names; empty where it only follows a jump."""
    instructions: list[str]


@dataclass(frozen=True)
class Loop:
    """The instructions that belong to one loop, those of the loops inside it not among them."""

    instructions: list[str]
    repeats: bool
    """False for the code of a function that is in no loop."""


def assembly(module: tvm.runtime.Module) -> str:
    """What LLVM makes of the module; on x86 in AT&T syntax.

    The code in memory comes from the same IR for the same cpu; only the registers that it takes may be others.
    """
    return str(module.inspect_source("asm"))


def count_instructions(assembly: str, isa: Isa) -> InstructionCount:
    """Count the dot-product instructions of `isa`, those on registers of the path's full width.

    Every instruction belongs to the innermost loop around it. The inner loop of a kernel is the one to which most of
    the dot products belong, the first of several. Where the reduction is unrolled, that may be the loop over register
    tiles; where everything is, it is the straight code of the function.
    """
    dot, syntax = PATHS[isa].dot, PATHS[isa].architecture.assembly

    def dots(instructions: Iterable[str]) -> int:
        return sum(dot.mnemonic in line.split() and dot.vectors.operand in line for line in instructions)

    bodies = [body for body in FUNCTION.findall(assembly) if dot.mnemonic in body]
    loops = [loop for body in bodies for loop in loops_of(blocks_of(body, syntax), syntax)]
    inner = max(loops, key=lambda loop: dots(loop.instructions), default=Loop([], False))
    found = dots(inner.instructions)
    return InstructionCount(
        instruction=dot.mnemonic,
        register_bits=dot.vectors.bits,
        dot_products=found,
        instructions=len(inner.instructions) if found else 0,
        in_loop=inner.repeats and found > 0,
        dot_products_in_kernel=sum(dots(loop.instructions) for loop in loops),
    )


def blocks_of(body: str, syntax: Assembly) -> list[Block]:
    """The basic blocks of a function, in the order of the code."""
    blocks = [Block("", [])]
    for line in body.splitlines():
        if line.startswith(".LBB"):
            blocks.append(Block(line.partition(":")[0], []))
        elif line.startswith("\t") and not line.startswith(("\t.", f"\t{syntax.comment}")):
            blocks[-1].instructions.append(line)
            if re.fullmatch(syntax.jump, line.split()[0]):
                blocks.append(Block("", []))
    return blocks


def loops_of(blocks: Sequence[Block], syntax: Assembly) -> list[Loop]:
    """The loops of a function, outer and inner ones, and the code in none."""
    following = successors(blocks, syntax)
    members: dict[frozenset[int], list[str]] = defaultdict(list)
    for position, block in enumerate(blocks):
        members[innermost_loop(position, following)] += block.instructions
    return [Loop(instructions, bool(loop)) for loop, instructions in members.items()]


def successors(blocks: Sequence[Block], syntax: Assembly) -> list[set[int]]:
    """For each block the positions of those that may run next."""
    positions = {block.label: position for position, block in enumerate(blocks)}
    following = []
    for position, block in enumerate(blocks):
        last = block.instructions[-1].split() if block.instructions else [""]
        jumps = re.fullmatch(syntax.jump, last[0]) and last[-1] in positions
        targets = {positions[last[-1]]} if jumps else set()
        if last[0] not in syntax.ends and position + 1 < len(blocks):
            targets.add(position + 1)
        following.append(targets)
    return following


def innermost_loop(block: int, following: Sequence[set[int]]) -> frozenset[int]:
    """The blocks of the smallest loop with `block` in it; empty where there is none.

    A loop is what can be left for itself and come back to. Without its first block it falls apart, into the loops
    inside it.
    """
    preceding = reversed_edges(following)
    loop: frozenset[int] = frozenset()
    among = set(range(len(following)))
    while around := reachable(block, following, among) & reachable(block, preceding, among):
        loop = frozenset(around)
        first = next((each for each in sorted(loop) if preceding[each] - loop), min(loop))
        if first == block:
            break
        among = around - {first}
    return loop


def reachable(start: int, edges: Sequence[set[int]], among: Collection[int]) -> set[int]:
    """What `edges` lead to from `start`; `start` itself only where they lead back."""
    found: set[int] = set()
    waiting = [start]
    while waiting:
        new = {each for each in edges[waiting.pop()] if each in among} - found
        found |= new
        waiting += new
    return found


def reversed_edges(edges: Sequence[set[int]]) -> list[set[int]]:
    backwards: list[set[int]] = [set() for _ in edges]
    for source, targets in enumerate(edges):
        for target in targets:
            backwards[target].add(source)
    return backwards
