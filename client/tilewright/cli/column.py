"""What a table is made of."""

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    FIGURE = auto()
    WORD = auto()
    NAME = auto()
    """May be shortened in the middle."""
    PROSE = auto()
    """May be folded between words."""


@dataclass(frozen=True)
class Column:
    name: str
    kind: Kind = Kind.FIGURE
    rank: int = 0
    """0 is always shown; of the others, lower ones are."""
    once: bool = False
    """Said once below the table where it is the same in every row and there is no room for it."""
    footnote: str | None = None

    @property
    def is_flexible(self) -> bool:
        return self.kind in (Kind.NAME, Kind.PROSE)
