"""100,000 rows as Tilewright's first schemas held them, made by the database itself."""

from sqlalchemy import Connection, inspect, text

from tilewright.contract.workload import Workload

WORKLOAD = Workload(batch=1, in_channels=8, height=8, width=8, out_channels=8, kernel_size=(1, 1))
WORKLOADS, JOBS, RECORDS, EVENTS = 500, 2_000, 70_000, 20_000
COUNTS = {
    "workloads": WORKLOADS,
    "jobs": JOBS,
    "job_workloads": 2 * JOBS,
    "attempts": JOBS,
    "schedules": WORKLOADS,
    "idempotency_keys": 1_000,
    "records": RECORDS,
    "events": EVENTS,
}
WORKLOAD_ID = "CAST((i % {workloads}) AS VARCHAR(64))"
JOB_ID = "(i % {jobs}) + 1"
ROWS = {
    "workloads": {"id": WORKLOAD_ID, "document": "'{workload}'"},
    "jobs": {
        "id": "i",
        "request_sha256": "'' || i",
        "state": "CASE WHEN i % 10 = 0 THEN 'queued' WHEN i % 10 = 1 THEN 'running' ELSE 'finished' END",
        "target": "'auto'",
        "threads": "1",
        "trials": "64",
        "priority": "0",
        "attempt": "1",
        "attempts_without_progress": "0",
        "created_at": "i",
    },
    "schedules": {
        "workload_id": WORKLOAD_ID,
        "isa": "'x86_64'",
        "threads": "1",
        "host_class": "'old'",
        "candidate": "'' || i",
        "is_current": "CAST(1 AS BOOLEAN)",
        "latency_us": "1.5",
        "job_id": JOB_ID,
        "attempt": "1",
        "document": '\'{"isa":"x86_64"}\'',
        "script": "''",
    },
    "job_workloads": {
        "job_id": JOB_ID,
        "workload_id": "CAST(((i + i / {jobs}) % {workloads}) AS VARCHAR(64))",
        "position": "i / {jobs}",
        "occurrences": "1",
        "state": f"CASE WHEN {JOB_ID} % 10 = 0 THEN 'queued' WHEN {JOB_ID} % 10 = 1 THEN 'running' ELSE 'done' END",
        "trials": "7",
        "failed_trials": "0",
    },
    "attempts": {
        "job_id": "i",
        "number": "1",
        "token_sha256": "''",
        "server_id": "'old'",
        "is_open": "CAST(CASE WHEN i % 10 = 1 THEN 1 ELSE 0 END AS BOOLEAN)",
        "host_class": "'old'",
        "stored_records": "0",
        "launched_at": "i",
        "lease_expires_at": "i",
    },
    "idempotency_keys": {"key": "'' || i", "request_sha256": "''", "job_id": JOB_ID, "created_at": "i"},
    "records": {
        "workload_id": WORKLOAD_ID,
        "isa": "'x86_64'",
        "threads": "1",
        "host_class": "'old'",
        "candidate": "'' || i",
        "state": "'measured'",
        "latency_us": "1.5",
        "job_id": JOB_ID,
        "document": '\'{"isa":"x86_64"}\'',
    },
    "events": {"job_id": JOB_ID, "type": "'progress'", "data": "'{}'", "created_at": "i"},
}


def insert_old_rows(connection: Connection, divisor: int = 1) -> None:
    """All of COUNTS, or a fraction of each."""
    whole = {"jobs": JOBS // divisor, "workloads": WORKLOADS // divisor}
    for table, values in ROWS.items():
        columns, count = ", ".join(values), COUNTS[table] // divisor
        statement = (
            f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {count})"
            f" INSERT INTO {table} ({columns}) SELECT {', '.join(values.values())} FROM numbers"
        )
        for name, value in whole.items():
            statement = statement.replace(f"{{{name}}}", str(value))
        statement = statement.replace("{workload}", WORKLOAD.canonical_json)
        connection.execute(text(statement.replace(":", r"\:")))
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT setval(pg_get_serial_sequence('jobs', 'id'), max(id)) FROM jobs")


def counts(connection: Connection) -> dict[str, int]:
    """Of the tables above that there are."""
    present = set(inspect(connection).get_table_names())
    tables = [table for table in COUNTS if table in present]
    return {table: connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() for table in tables}
