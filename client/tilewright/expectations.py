"""What a document has to hold at each of its places, in words: read from its JSON schema."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from operator import getitem
from typing import Any

from pydantic import TypeAdapter

Schema = Mapping[str, Any]
Step = int | str
"""From a place to one inside it: a name, an index, or the tag of a union."""

KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list [...]",
    "object": "an object {...}",
}
FORMATS = {"date-time": "a time, such as 2026-01-31T12:00:00Z"}
LEAST, MOST = ("minItems", "minLength", "minProperties"), ("maxItems", "maxLength", "maxProperties")

KEY = "[key]"
"""The step to a key of a mapping, where the key itself is wrong."""


class Expectation:
    """One place of a document. Where the schema says nothing, nothing is expected."""

    def __init__(self, document: Schema, place: Schema) -> None:
        self._document = document
        self._options = list(self._resolve(place))

    def _resolve(self, place: Schema) -> Iterator[Schema]:
        """The alternatives without references, and without null."""
        rest = {name: value for name, value in place.items() if name not in ("$ref", "anyOf", "oneOf")}
        if "$ref" in place:
            parts = place["$ref"].removeprefix("#/").split("/")
            yield from self._resolve({**rest, **reduce(getitem, parts, self._document)})
        elif options := place.get("anyOf") or place.get("oneOf"):
            for option in options:
                yield from self._resolve({**rest, **option})
        elif place.get("type") != "null":
            yield place

    def at(self, step: Step) -> "Expectation":
        found = (_inside(option, step) for option in self._options)
        return Expectation(self._document, next(filter(None, found), {}))

    @property
    def fields(self) -> list[str]:
        return [name for option in self._options for name in option.get("properties", {})]

    @property
    def tags(self) -> list[str]:
        """Of a union whose members are told apart by one of their fields."""
        return next((list(each["discriminator"]["mapping"]) for each in self._options if "discriminator" in each), [])

    @property
    def range(self) -> str:
        """Of a number, such as `from 1 to 4096`."""
        return next(filter(None, map(_range, self._options)), "")

    @property
    def length(self) -> str:
        """Of a list or a text, such as `from 1 to 1000`."""
        return next(filter(None, map(_length, self._options)), "")

    @property
    def choices(self) -> list[str]:
        return [str(each) for option in self._options for each in _choices(option)]

    @property
    def takes_text(self) -> bool:
        return any(option.get("type") == "string" or _choices(option) for option in self._options)

    @property
    def is_group(self) -> bool:
        """Whether it is a fixed number of values, each with a meaning of its own."""
        return any("prefixItems" in option for option in self._options)

    def __str__(self) -> str:
        """What it has to be, such as `a whole number from 1 to 4096`."""
        if not self._options:
            return "null"
        groups = [option for option in self._options if "prefixItems" in option]
        words = dict.fromkeys(filter(None, map(_words, groups or self._options)))
        return " or ".join(words) or "something else"


@lru_cache
def expectation_of(kind: Any) -> Expectation:
    """Of a model, or of anything else that pydantic can describe."""
    schema = TypeAdapter(kind).json_schema()
    return Expectation(schema, schema)


def _inside(option: Schema, step: Step) -> Schema | None:
    if isinstance(step, int):
        parts = dict(enumerate(option.get("prefixItems", [])))
        return parts.get(step, option.get("items"))
    tags, fields = option.get("discriminator", {}).get("mapping", {}), option.get("properties", {})
    if step in tags:
        return {"$ref": tags[step]}
    if step in fields:
        return dict(fields[step])
    patterns = option.get("patternProperties", {})
    if step == KEY:
        return {"type": "string", "pattern": next(iter(patterns), "")}
    values: Schema | None = option.get("additionalProperties") or next(iter(patterns.values()), None)
    return values


def _range(option: Schema) -> str:
    return _between(*(option.get(name) for name in ("minimum", "maximum", "exclusiveMinimum")))


def _length(option: Schema) -> str:
    sizes = [[option[name] for name in names if name in option] for names in (LEAST, MOST)]
    return _between(*(min(each, default=None) for each in sizes))


def _between(low: float | None, high: float | None, above: float | None = None) -> str:
    if low is not None and high is not None:
        return f"from {_bound(low)} to {_bound(high)}"
    bounds = {"above": above, "at least": low, "at most": high}
    return " and ".join(f"{word} {_bound(bound)}" for word, bound in bounds.items() if bound is not None)


def _bound(value: float) -> str:
    """The largest numbers of a machine word as people write them; in an OpenAPI document they have been rounded."""
    whole = int(value) - (isinstance(value, float) and value > 2**53)
    is_word = whole > 2**30 and not whole & (whole + 1)
    return f"2^{whole.bit_length()} - 1" if is_word else f"{value:.10g}"


def _choices(option: Schema) -> list[Any]:
    return option.get("enum") or ([option["const"]] if "const" in option else [])


def _words(option: Schema) -> str:
    if choices := _choices(option):
        return one_of(choices)
    kind = option.get("type")
    if kind == "string":
        return _text(option)
    if "prefixItems" in option:
        return f"{len(option['prefixItems'])} numbers: {option.get('description', 'in a list')}"
    limits = _range(option)
    return " ".join(filter(None, (KINDS.get(str(kind)), "of" if limits.startswith("at ") else "", limits)))


def _text(option: Schema) -> str:
    if "pattern" in option:
        return str(option.get("description") or f"text of the form {option['pattern']}")
    length = _length(option)
    return FORMATS.get(str(option.get("format")), f"text of {length} characters" if length else "text")


def one_of(choices: Sequence[Any]) -> str:
    names = ", ".join(map(str, choices))
    return names if len(choices) == 1 else f"one of {names}"
