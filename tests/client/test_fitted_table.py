import io
import re

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tilewright.cli.column import Column, Kind
from tilewright.cli.fitted_table import FittedTable
from tilewright.cli.short_names import fit_names

FIGURES = st.one_of(
    st.just("-"),
    st.integers(0, 10**9).map("{:,}".format),
    st.floats(0, 1e7).map("{:,.1f}".format),
    st.floats(0, 1).map("{:.0%}".format),
)
PARTS = st.from_regex(r"[a-z]{1,3}[0-9]{1,4}(w[0-9]{1,4})?", fullmatch=True)
NAMES = st.lists(PARTS, min_size=1, max_size=12).map("_".join)
WORDS = st.lists(st.from_regex(r"[a-z]{1,9}|[0-9]{1,6}", fullmatch=True), max_size=20).map(" ".join)
CELLS = {Kind.FIGURE: FIGURES, Kind.WORD: st.sampled_from(["queued", "running"]), Kind.NAME: NAMES, Kind.PROSE: WORDS}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], list[list[str]]]:
    """A name and a figure that are always shown, and anything else."""
    kinds = [Kind.NAME, Kind.FIGURE, *draw(st.lists(st.sampled_from(Kind), max_size=8))]
    ranks = [0, 0, *draw(st.permutations(range(1, len(kinds) - 1)))]
    columns = [Column(f"column{at}", kind, ranks[at], once=draw(st.booleans())) for at, kind in enumerate(kinds)]
    row = st.tuples(*(CELLS[kind] for kind in kinds)).map(list)
    return draw(st.permutations(columns)), draw(st.lists(row, min_size=1, max_size=12))


def render(columns: list[Column], rows: list[list[str]], width: int, is_terminal: bool = True) -> list[str]:
    table = FittedTable(*columns)
    for row in rows:
        table.add_row(*(row[int(column.name.removeprefix("column"))] for column in columns))
    text = io.StringIO()
    Console(file=text, force_terminal=is_terminal, color_system=None, width=width, highlight=False).print(table)
    return text.getvalue().splitlines()


@given(tables(), st.integers(60, 200))
def test_no_figure_is_cut_at_any_width(table: tuple[list[Column], list[list[str]]], width: int) -> None:
    columns, rows = table
    header, *lines = render(columns, rows, width)
    shown = [column for column in columns if column.name in header.split()]
    assert {column.name for column in columns if not column.rank and not column.once} <= {each.name for each in shown}
    assert max(map(len, lines)) <= width
    tokens = [token for line in lines for token in re.split(r" {2,}", line.strip())]
    for column in shown:
        at = int(column.name.removeprefix("column"))
        if column.kind in (Kind.FIGURE, Kind.WORD):
            expected = [row[at] for row in rows]
            assert [token for token in tokens if token in expected]
            assert all(tokens.count(cell) >= expected.count(cell) for cell in expected)


@given(tables(), st.integers(60, 200))
def test_a_column_that_is_not_shown_is_named_below(table: tuple[list[Column], list[list[str]]], width: int) -> None:
    columns, rows = table
    header, *lines = render(columns, rows, width)
    below = " ".join(lines)
    for column in columns:
        is_empty = not any(row[int(column.name.removeprefix("column"))] for row in rows)
        assert column.name in header.split() or column.name in below or is_empty


@given(tables())
def test_a_pipe_gets_every_cell_whole_and_every_row_on_a_line(table: tuple[list[Column], list[list[str]]]) -> None:
    columns, rows = table
    header, *lines = render(columns, rows, 10_000, is_terminal=False)
    assert header.split() == [column.name for column in columns]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert all(" ".join(cell.split()) in " ".join(line.split()) for cell in row)


@given(st.lists(NAMES, min_size=1, max_size=30), st.integers(13, 60))
def test_names_that_differ_still_differ_in_a_narrow_column(names: list[str], width: int) -> None:
    fitted = fit_names(names, width)
    assert len(set(fitted)) == len(set(names))
    assert all(len(line) <= width for each in fitted for line in each.split("\n"))


@given(st.lists(NAMES, min_size=1, max_size=30), st.integers(13, 60))
def test_no_number_in_a_name_is_cut(names: list[str], width: int) -> None:
    for name, fitted in zip(names, fit_names(names, width), strict=True):
        for number in re.findall(r"\d+", fitted):
            assert number in re.findall(r"\d+", name)


def test_the_middle_of_a_name_gives_way() -> None:
    name = "n1_c64_h56w56_o64_k3x3_s1_p1_u8s8u8_nhwc"
    assert fit_names([name], 40) == [name]
    assert fit_names([name], 30) == ["n1_c64_h56w56_o64_k3x3…_nhwc"]
    assert fit_names([name, name.replace("s1", "s2")], 30) == [
        "n1_c64_h56w56_o64_k3x3_s1_p1…",
        "n1_c64_h56w56_o64_k3x3_s2_p1…",
    ]


def test_names_that_cannot_be_told_apart_when_short_are_folded() -> None:
    assert fit_names(["a1_b2_c3_d4", "a1_b2_x3_d4"], 6) == ["a1_b2\n_c3_d4", "a1_b2\n_x3_d4"]


def test_columns_go_by_importance_and_the_least_goes_first() -> None:
    columns = [Column("a"), Column("b", rank=2), Column("c", rank=1), Column("d", rank=3)]
    row = [["1" * 20] * 4]
    for width, shown in ((86, "abcd"), (85, "abc"), (64, "abc"), (63, "ac"), (41, "a")):
        table = FittedTable(*columns)
        table.add_row(*row[0])
        text = io.StringIO()
        Console(file=text, force_terminal=True, color_system=None, width=width).print(table)
        assert "".join(text.getvalue().splitlines()[0].split()) == shown, width
