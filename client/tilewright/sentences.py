"""One sentence about one error.

No word of pydantic's gets through: an error that has no sentence of its own here says what was found and what it has to
be.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tilewright.expectations import KEY, Expectation, Step, one_of

Error = Mapping[str, Any]
"""One of pydantic's `errors()`."""

Path = tuple[Step, ...]

MOST_SHOWN = 40
MOST_DIGITS = 20


class Case(NamedTuple):
    """One error, and everything that a sentence about it needs."""

    error: Error
    place: Expectation
    around: Expectation
    path: Path
    document: str

    @property
    def name(self) -> str:
        """As it would be written to get there, such as `workloads[0].stride[1]`."""
        if self.path[-1:] == (KEY,):
            return f"the key {shown(self.path[-2])}"
        return spoken(self.path) or self.document

    @property
    def found(self) -> str:
        return shown(self.error["input"])

    @property
    def size(self) -> object:
        return len(self.error["input"]) if hasattr(self.error["input"], "__len__") else "more"


def sentence_about(case: Case) -> str:
    return SENTENCES.get(case.error["type"], _unfit)(case)


def _missing(case: Case) -> str:
    return f"{case.name} is missing"


def _unknown(case: Case) -> str:
    *around, name = case.path
    place = spoken(tuple(around))
    return f"there is no field {shown(name)}{' in ' if place else ''}{place}; {_instead(str(name), case.around.fields)}"


def _no_name(case: Case) -> str:
    place = spoken(case.path[:-1]) or case.document
    return f"{place} has the key {shown(case.path[-1])}; keys have to be text"


def _instead(name: str, fields: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), fields, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(fields) or 'none'}"


def _out_of_range(case: Case) -> str:
    found = case.error["input"]
    is_text = isinstance(found, str) and len(found) <= MOST_DIGITS
    return f"{case.name} is {found if is_text else case.found}; it has to be {case.place.range}"


def _no_choice(case: Case) -> str:
    choices = one_of(case.place.choices)
    return f"{case.name} is {case.found}; it {'is' if choices.startswith('one of') else 'can only be'} {choices}"


def _wrong_length(case: Case) -> str:
    if case.place.is_group:
        return f"{case.name} is {case.place} (found {case.size})"
    return f"{case.name} has {case.size} entries; it may have {case.place.length}"


def _wrong_text_length(case: Case) -> str:
    return f"{case.name} has {case.size} characters; it may have {case.place.length}"


def _no_tag(case: Case) -> str:
    """The field that tells apart the members of a union has another value, or none."""
    field = case.error["ctx"]["discriminator"].strip("'")
    found = f"is {shown(case.error['ctx']['tag'])}" if "tag" in case.error["ctx"] else "is missing"
    return f"{spoken((*case.path, field))} {found}; it is {one_of(case.place.tags)}"


def _broken_rule(case: Case) -> str:
    """A rule of our own, in our own words."""
    reason = str(case.error["ctx"]["error"])
    return f"{case.name}: {reason}" if case.path else reason


def _no_json(case: Case) -> str:
    return f"{case.name} is not JSON: {case.error['ctx']['error']}"


def _unfit(case: Case) -> str:
    """Everything else: most often a value of another type."""
    is_text = isinstance(case.error["input"], str) and not case.place.takes_text
    is_strict = not case.error["type"].endswith("_parsing")
    return f"{case.name} is {case.found}{' (text)' if is_text and is_strict else ''}; it has to be {case.place}"


SENTENCES: dict[str, Callable[[Case], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "invalid_key": _no_name,
    "greater_than": _out_of_range,
    "greater_than_equal": _out_of_range,
    "less_than": _out_of_range,
    "less_than_equal": _out_of_range,
    "literal_error": _no_choice,
    "enum": _no_choice,
    "too_short": _wrong_length,
    "too_long": _wrong_length,
    "string_too_short": _wrong_text_length,
    "string_too_long": _wrong_text_length,
    "union_tag_invalid": _no_tag,
    "union_tag_not_found": _no_tag,
    "value_error": _broken_rule,
    "json_invalid": _no_json,
}


def spoken(path: Path) -> str:
    """As it would be written to get there, such as `workloads[0].stride[1]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step[:MOST_SHOWN]}" for step in path).removeprefix(".")


def shown(value: Any) -> str:
    """Short, however large it is, and as JSON has it."""
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return f"a number of more than {MOST_DIGITS} digits" if abs(value) >= 10**MOST_DIGITS else repr(value)
    if isinstance(value, str):
        return repr(value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}…")
    if isinstance(value, list | tuple):
        items = ", ".join("[...]" if isinstance(each, list | tuple) else shown(each) for each in value[:MOST_SHOWN])
        return f"[{items}]" if len(items) <= MOST_SHOWN else f"a list of {len(value)}"
    return "an object" if isinstance(value, Mapping) else f"a value of the type {type(value).__name__}"
