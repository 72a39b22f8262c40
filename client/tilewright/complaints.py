"""What is wrong with a document, to a person: from the errors that pydantic lists, and from what was expected."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple

from tilewright.expectations import KEY, Expectation
from tilewright.sentences import Case, Error, Path, sentence_about, spoken

MOST_LISTED = 100
"""A document may hold a million mistakes."""

MOST_SAID = 8


class Complaint(NamedTuple):
    """`message` names the field, `sentence` also where it stands."""

    path: Path
    message: str
    sentence: str
    is_missing: bool = False


def complaints(
    errors: Iterable[Error], expectation: Expectation, document: str = "this", places: bool = False
) -> list[Complaint]:
    """About the first of `errors`. With `places` their paths begin with where in a request the document stands."""
    some = islice(_without_repetition(errors), MOST_LISTED)
    return [_complaint(error, expectation, document, int(places)) for error in some]


def summary(said: Sequence[Complaint]) -> str:
    """In one line; what one object lacks is one sentence."""
    groups = groupby(said, lambda each: each.path[:-1] if each.is_missing else each)
    sentences = [_together([*each]) for _, each in groups]
    if len(sentences) > MOST_SAID:
        sentences[MOST_SAID:] = ["and so on"]
    return ". ".join(sentences).replace("?. ", "? ")


def _without_repetition(errors: Iterable[Error]) -> Iterator[Error]:
    """Numbers that lack in a group are one complaint about the group."""
    known = set()
    for error in errors:
        path = error["loc"]
        if error["type"] == "missing" and path and isinstance(path[-1], int):
            error, path = {**error, "type": "too_short", "loc": path[:-1]}, path[:-1]
        if (path, error["type"]) not in known:
            known.add((path, error["type"]))
            yield error


def _complaint(error: Error, expectation: Expectation, document: str, skipped: int) -> Complaint:
    places = [expectation, expectation]
    for step in error["loc"]:
        places.append(places[-1 - (step == KEY)].at(step))
    path = tuple(error["loc"][skipped:])
    cases = (Case(error, places[-1], places[-2], each, document) for each in (_tail(path), path))
    message, sentence = map(sentence_about, cases)
    return Complaint(path, message, sentence, error["type"] == "missing" and bool(path))


def _tail(path: Path) -> Path:
    """The last name, with the indices after it."""
    names = [index for index, step in enumerate(path) if isinstance(step, str) and step != KEY]
    return path[names[-1] :] if names else path


def _together(said: list[Complaint]) -> str:
    if len(said) == 1:
        return said[0].sentence
    *names, last = (str(each.path[-1]) for each in said)
    place = spoken(said[0].path[:-1])
    return f"{', '.join(names)} and {last} are missing{' in ' if place else ''}{place}"
