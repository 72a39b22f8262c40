"""The numbers that tables have given to rows, so that none is given twice, not even after a row is deleted or moved."""

from sqlalchemy import Connection, inspect, text


def last_ids(connection: Connection) -> dict[str, int]:
    """By table, of those that number their rows."""
    if connection.dialect.name == "sqlite":
        return _sqlite_ids(connection)
    sequences = {table: f"{table}_id_seq" for table in inspect(connection).get_table_names()}
    present = set(inspect(connection).get_sequence_names())
    question = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}"
    return {
        table: int(connection.execute(text(question.format(sequence))).scalar_one())
        for table, sequence in sequences.items()
        if sequence in present
    }


def raise_last_ids(connection: Connection, ids: dict[str, int]) -> None:
    """Nothing up to these is given again; what is higher already stays."""
    present = last_ids(connection)
    for table, number in ids.items():
        if number > present.get(table, 0):
            _set(connection, table, number)


def _set(connection: Connection, table: str, number: int) -> None:
    if connection.dialect.name == "sqlite":
        values: dict[str, object] = {"name": table, "number": number}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)"), values)
    else:
        values = {"name": f"{table}_id_seq", "number": number}
        connection.execute(text("SELECT setval(CAST(:name AS regclass), :number)"), values)


def _sqlite_ids(connection: Connection) -> dict[str, int]:
    if connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")).first() is None:
        return {}
    tables = set(inspect(connection).get_table_names())
    rows = connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
    return {name: seq for name, seq in rows if name in tables}
