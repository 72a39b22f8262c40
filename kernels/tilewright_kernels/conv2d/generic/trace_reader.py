"""Traces of the generic space, read as data before TVM sees them: they may come from anywhere, and a trace is code.

One annotation can make TVM run native code, one decision without its instruction ends the process. So only what
MetaSchedule's rules for a CPU write is let through: known instructions on values that an earlier one gave, known
annotations, numbers within bounds.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from tilewright.contract.candidates import MOST, Trace
from tilewright.errors import ForeignSchedule

MOST_INSTRUCTIONS = 1_000
MOST_CANDIDATES = 64
MOST_STEPS = 1_024
"""Unrolled steps, lanes of a vector: what a factor, an annotation or a categorical sample may name."""

MOST_JOBS = 16 * 256
"""MetaSchedule asks for sixteen pieces of a parallel loop for each thread, of which a target has 256 at most."""

OUTERMOST, INLINED = -1, -2
"""Compute locations that are no loop."""

FUNCTION = "main"
BLOCK_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
VALUE_NAME = re.compile(r"[blv](0|[1-9][0-9]{0,5})")
NO_FACTOR = "None"
"""As TVM writes a factor that is left open."""

TILINGS = ('"SSRSRS"', '"SSR"')

ANNOTATIONS: dict[str, tuple[str, int]] = {
    "meta_schedule.tiling_structure": ("s", 0),
    "meta_schedule.vectorize": ("i", MOST_STEPS),
    "meta_schedule.parallel": ("i", MOST_JOBS),
    "meta_schedule.unroll_explicit": ("v|i", MOST_STEPS),
    "meta_schedule.unroll_implicit": ("v|i", MOST_STEPS),
    "meta_schedule.random_compute_producer": ("i", 1),
    "meta_schedule.inline_rule": ("s", 0),
    "pragma_unroll_explicit": ("i", 1),
    "pragma_auto_unroll_max_step": ("i", MOST_STEPS),
}
"""Known annotations, whether each takes text (s), a sampled number (v) or a number (i), and the largest number."""


@dataclass(frozen=True)
class Instruction:
    """What an instruction takes and gives, as patterns over letters: block, loop, v for a sampled number, integer,
    none, s for known text, e for an empty list.
    """

    inputs: str
    outputs: str = ""
    attributes: Callable[[list[Any]], bool] = lambda attributes: attributes == []


def _are_flags(attributes: list[Any], count: int) -> bool:
    are_flags = all(each is True or each is False or (type(each) is int and each in (0, 1)) for each in attributes)
    return len(attributes) == count and are_flags


def _is_number(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_location(attributes: list[Any]) -> bool:
    return len(attributes) == 2 and _are_flags(attributes[:1], 1) and _is_number(attributes[1], -1, MOST_STEPS)


def _is_block(attributes: list[Any]) -> bool:
    match attributes:
        case [str(name), str(function)]:
            return function == FUNCTION and BLOCK_NAME.fullmatch(name) is not None
        case [str(name)]:
            return BLOCK_NAME.fullmatch(name) is not None
    return False


def _is_tile(attributes: list[Any]) -> bool:
    return len(attributes) == 2 and _is_number(attributes[0], 1, 16) and _is_number(attributes[1], 1, MOST_STEPS)


def _is_cache(attributes: list[Any]) -> bool:
    match attributes:
        case [index, "global"]:
            return _is_number(index, 0, 0)
    return False


def _is_category(attributes: list[Any]) -> bool:
    match attributes:
        case [list(values), list(chances)]:
            are_values = all(_is_number(value, 0, MOST_STEPS) for value in values)
            are_chances = all(type(chance) in (int, float) and 0 <= chance <= 1 for chance in chances)
            return are_values and are_chances and 0 < len(values) == len(chances) <= MOST_CANDIDATES
    return False


def _is_annotation(attributes: list[Any]) -> bool:
    return len(attributes) == 1 and isinstance(attributes[0], str) and attributes[0] in ANNOTATIONS


INSTRUCTIONS: dict[str, Instruction] = {
    "GetSBlock": Instruction("", "b", _is_block),
    "GetLoops": Instruction("b", "l*"),
    "GetChildBlocks": Instruction("b|l", "b*"),
    "GetConsumers": Instruction("b", "b*"),
    "GetProducers": Instruction("b", "b*"),
    "SamplePerfectTile": Instruction("l", "v+", _is_tile),
    "SampleCategorical": Instruction("", "v", _is_category),
    "SampleComputeLocation": Instruction("b", "l"),
    "Split": Instruction("l[vin]+", "l+", lambda attributes: _are_flags(attributes, 2)),
    "Fuse": Instruction("l+", "l", lambda attributes: _are_flags(attributes, 1)),
    "Reorder": Instruction("l+"),
    "AddUnitLoop": Instruction("b|l", "l"),
    "Parallel": Instruction("l"),
    "Vectorize": Instruction("l"),
    "Unroll": Instruction("l"),
    "ComputeAt": Instruction("bl", "", _is_location),
    "ReverseComputeAt": Instruction("bl", "", _is_location),
    "ComputeInline": Instruction("b"),
    "ReverseComputeInline": Instruction("b"),
    "CacheWrite": Instruction("be", "b", _is_cache),
    "DecomposeReduction": Instruction("bl", "b"),
    "RFactor": Instruction("l", "b", lambda attributes: len(attributes) == 1 and _is_number(attributes[0], -8, 8)),
    "Annotate": Instruction("[bl][ivs]", "", _is_annotation),
    "Unannotate": Instruction("b|l", "", _is_annotation),
    "EnterPostproc": Instruction(""),
}


def check_trace(trace: Trace) -> None:
    """Raises ForeignSchedule, naming what is wrong, for a trace that the generic space cannot have written."""
    if not trace:
        return
    match trace:
        case [list(instructions), list(decisions)] if len(decisions) <= len(instructions) <= MOST_INSTRUCTIONS:
            _check_instructions(instructions)
            _check_decisions(instructions, decisions)
        case _:
            raise ForeignSchedule(
                f"a trace is a list of at most {MOST_INSTRUCTIONS} instructions and a list of decisions"
            )


def _check_instructions(instructions: list[Any]) -> None:
    known: set[str] = set()
    for index, each in enumerate(instructions):
        match each:
            case [str(name), list(inputs), list(attributes), list(outputs)] if name in INSTRUCTIONS:
                pass
            case [str(name), *_]:
                raise ForeignSchedule(f"instruction {index} of the trace is not known here: {name[:40]}")
            case _:
                raise ForeignSchedule(f"instruction {index} of the trace is no instruction")
        rule = INSTRUCTIONS[name]
        if not re.fullmatch(rule.inputs, "".join(_kind(value, known) for value in inputs)):
            raise ForeignSchedule(f"instruction {index} of the trace, {name}, has inputs that it cannot have")
        if not rule.attributes(attributes):
            raise ForeignSchedule(f"instruction {index} of the trace, {name}, has attributes that it cannot have")
        if name == "Split" and any(_is_number(factor, MOST_STEPS + 1, MOST) for factor in inputs):
            raise ForeignSchedule(f"instruction {index} of the trace splits by a factor that it cannot have")
        if name == "Annotate" and not _may_annotate(attributes[0], inputs[1], known):
            raise ForeignSchedule(f"instruction {index} of the trace annotates {attributes[0]} with what it cannot be")
        if not re.fullmatch(rule.outputs, "".join(_new_kind(value) for value in outputs)):
            raise ForeignSchedule(f"instruction {index} of the trace, {name}, has outputs that it cannot have")
        if len(set(outputs)) < len(outputs) or known.intersection(outputs):
            raise ForeignSchedule(f"instruction {index} of the trace, {name}, gives what is there already")
        known.update(outputs)


def _may_annotate(annotation: str, value: Any, known: set[str]) -> bool:
    kinds, most = ANNOTATIONS[annotation]
    kind = _kind(value, known)
    return re.fullmatch(kinds, kind) is not None and (kind != "i" or value <= most)


def _check_decisions(instructions: list[Any], decisions: list[Any]) -> None:
    decided: set[int] = set()
    for decision in decisions:
        match decision:
            case [int(index), value] if _is_number(index, 0, len(instructions) - 1) and index not in decided:
                decided.add(index)
            case _:
                raise ForeignSchedule("a decision of the trace belongs to none of its instructions")
        if not _may_decide(instructions[index], value):
            raise ForeignSchedule(f"the decision for instruction {index} of the trace is one that it cannot have")


def _may_decide(instruction: list[Any], value: Any) -> bool:
    name, _, attributes, outputs = instruction
    match name:
        case "SamplePerfectTile":
            is_list = isinstance(value, list) and len(value) == len(outputs) == attributes[0]
            are_factors = is_list and all(_is_number(factor, 1, MOST) for factor in value)
            return are_factors and prod(value) <= MOST and value[-1] <= attributes[1]
        case "SampleCategorical":
            return _is_number(value, 0, len(attributes[0]) - 1)
        case "SampleComputeLocation":
            return _is_number(value, INLINED, MOST_STEPS)
    return False


def _kind(value: Any, known: set[str]) -> str:
    """A letter for an input; one that no pattern has for what is not allowed."""
    if value == NO_FACTOR:
        return "n"
    if value == []:
        return "e"
    if _is_number(value, -1, MOST):
        return "i"
    if isinstance(value, str):
        return "s" if value in TILINGS else value[0] if value in known else "?"
    return "?"


def _new_kind(value: Any) -> str:
    return value[0] if isinstance(value, str) and VALUE_NAME.fullmatch(value) else "?"
