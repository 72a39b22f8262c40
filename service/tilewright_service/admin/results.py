"""What the commands tell, as sentences or as JSON."""

import typer

from tilewright.cli.output import print_json
from tilewright.contract.message import Message


class Result(Message):
    def sentences(self) -> list[str]:
        raise NotImplementedError


class BackedUp(Result):
    file: str
    bytes: int
    seconds: float
    rows: dict[str, int]

    def sentences(self) -> list[str]:
        return [
            f"{self.file} holds {sum(self.rows.values()):,} rows in {megabytes(self.bytes)}, "
            f"written in {self.seconds:.1f} s"
        ]


class Restored(Result):
    database: str
    database_id: str
    rows: dict[str, int]
    attempts_ended: int

    def sentences(self) -> list[str]:
        return [
            f"{self.database} holds the {sum(self.rows.values()):,} rows of the backup, and is a database of its own "
            f"from here on ({self.database_id})",
            f"{self.attempts_ended} attempts that were open went back to the queue",
        ]


class Pruned(Result):
    is_dry_run: bool
    rows: dict[str, int]

    def sentences(self) -> list[str]:
        said = "would be deleted" if self.is_dry_run else "were deleted"
        if not self.rows:
            return [f"no rows {said}"]
        return [f"{count:,} {table} {said}" for table, count in sorted(self.rows.items())]


class Checked(Result):
    database: str
    database_id: str | None
    revision: str
    is_newest: bool
    bytes: int
    rows: dict[str, int]
    problems: list[str]

    @property
    def is_whole(self) -> bool:
        return not self.problems

    def sentences(self) -> list[str]:
        schema = f"schema {self.revision}" + ("" if self.is_newest else ", which the next start of a service changes")
        counts = ", ".join(f"{count:,} {table}" for table, count in sorted(self.rows.items()) if count)
        found = self.problems or ["it is whole: every row reads, and refers only to what is there"]
        return [f"{self.database}: {schema}, {megabytes(self.bytes)}", counts or "it is empty", *found]


class Copied(Result):
    source: str
    target: str
    rows: dict[str, int]

    def sentences(self) -> list[str]:
        return [
            f"{self.target} holds all {sum(self.rows.values()):,} rows of {self.source}; "
            "start the services with --database and that"
        ]


def show(result: Result, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        typer.echo("\n".join(result.sentences()))


def megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
