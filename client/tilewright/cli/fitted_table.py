"""Tables that fit a terminal: names give way, columns go by importance, and no figure is ever cut."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tilewright.cli.column import Column, Kind
from tilewright.cli.short_names import fit_names

GAP = 2
COMFORT = 30
"""Columns are left out rather than a name or a text made narrower than this."""
LEAST = 8
"""Unless nothing is left to leave out: then down to this."""
NOTHING = "-"
"""What stands where nothing is known."""

Cell = str | Text


class FittedTable:
    def __init__(self, *columns: Column, title: str | None = None) -> None:
        self._columns, self._title = columns, title
        self._rows: list[tuple[Sequence[Cell], str | None]] = []
        self._remarks: list[str] = []

    def add_row(self, *cells: Cell, style: str | None = None) -> None:
        self._rows.append((cells, style))

    def add_remark(self, remark: str) -> None:
        """A line below the table."""
        self._remarks.append(remark)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width
        shown, said = self._choose(room)
        yield from _without_trailing_spaces(console, options, self._table(shown, room))
        yield from (Text(line, style="dim") for line in self._notes(shown, said, room))

    def _choose(self, room: int) -> tuple[list[Column], list[Column]]:
        """The columns to show, and those that are said once instead."""
        if self._needs(self._columns) <= room:
            return list(self._columns), []
        said = [each for each in self._columns if each.once and len(self._values(each)) == 1]
        shown = [each for each in self._columns if not each.rank and each not in said]
        for column in sorted(self._columns, key=lambda each: each.rank):
            if column not in (*shown, *said) and self._needs([*shown, column]) <= room:
                shown.append(column)
        return sorted(shown, key=self._columns.index), said

    def _needs(self, columns: Sequence[Column]) -> int:
        """The least width that is comfortable."""
        widths = [min(self._full(each), COMFORT) if each.is_flexible else self._full(each) for each in columns]
        return sum(widths) + GAP * (len(columns) - 1)

    def _full(self, column: Column) -> int:
        return max(cell_len(line) for cell in (column.name, *self._cells(column)) for line in str(cell).split("\n"))

    def _cells(self, column: Column) -> list[Cell]:
        at = self._columns.index(column)
        return [cells[at] for cells, _ in self._rows]

    def _values(self, column: Column) -> set[str]:
        return {*map(str, self._cells(column))} - {NOTHING}

    def _table(self, shown: Sequence[Column], room: int) -> Table:
        widths = self._widths(shown, room)
        table = Table(
            title=self._title,
            title_justify="left",
            box=None,
            pad_edge=False,
            padding=(0, GAP, 0, 0),
            header_style="bold",
        )
        for column in shown:
            table.add_column(
                column.name,
                justify="right" if column.kind is Kind.FIGURE else "left",
                width=widths[column],
                overflow="fold",
            )
        fitted = [_fit(column, self._cells(column), widths[column]) for column in shown]
        for (_, style), cells in zip(self._rows, zip(*fitted, strict=True), strict=bool(fitted)):
            table.add_row(*cells, style=style)
        return table

    def _widths(self, shown: Sequence[Column], room: int) -> dict[Column, int]:
        """Flexible columns share what the others leave, none more than it needs."""
        full = {column: self._full(column) for column in shown}
        widths = {column: min(full[column], LEAST) if column.is_flexible else full[column] for column in shown}
        spare = room - sum(widths.values()) - GAP * (len(shown) - 1)
        while spare > 0 and (narrow := [column for column in shown if widths[column] < full[column]]):
            for column in narrow[:spare]:
                widths[column] += 1
            spare -= len(narrow)
        return widths

    def _notes(self, shown: Sequence[Column], said: Sequence[Column], room: int) -> Iterator[str]:
        yield from self._remarks
        values = [f"{column.name} {value}" for column in said for value in self._values(column) if value]
        if values:
            yield f"every row: {', '.join(values)}"
        left_out = [column.name for column in self._columns if column not in (*shown, *said)]
        if left_out:
            names = ", ".join(left_out)
            yield f"left out at {room} columns: {names}; --json, a wider terminal or a pipe shows all of it"
        yield from (column.footnote for column in shown if column.footnote)


def _fit(column: Column, cells: Sequence[Cell], width: int) -> Sequence[Cell]:
    return fit_names([str(cell) for cell in cells], width) if column.kind is Kind.NAME else cells


def _without_trailing_spaces(console: Console, options: ConsoleOptions, table: Table) -> RenderResult:
    for line in console.render_lines(table, options, pad=False):
        while line and not line[-1].text.strip():
            line.pop()
        if line:
            text, style, control = line.pop()
            yield from (*line, Segment(text.rstrip(), style, control))
        yield Segment.line()
