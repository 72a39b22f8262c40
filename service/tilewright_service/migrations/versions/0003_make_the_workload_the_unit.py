"""Several attempts at one job, each at one workload; who wants it, whose turn it is, which hosts are ill, who leads.

Attempts of before are ended without blame: they speak another protocol.
"""

import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "workloads"
down_revision = "known"
branch_labels = None
depends_on = None

WANTS = {"sqlite_where": sa.text("wants_worker = 1"), "postgresql_where": sa.text("wants_worker")}
NUMBERED = {"sqlite_autoincrement": True}
"""Said again where a table is rebuilt: else SQLite would give the numbers of deleted jobs to new ones."""
RUNNING = {"sqlite_where": sa.text("state = 'running'"), "postgresql_where": sa.text("state = 'running'")}
LANE = ["priority", "submitter", "threads", "target", "host_class", "id"]


def upgrade() -> None:
    _change_jobs()
    _change_job_workloads()
    _change_attempts()
    with op.batch_alter_table("idempotency_keys") as table:
        table.alter_column("job_id", existing_type=_id(), nullable=True)
    _create_tables()
    op.execute(sa.text("INSERT INTO database (id, beats) VALUES (:id, 0)").bindparams(id=uuid.uuid4().hex))


def _change_jobs() -> None:
    with op.batch_alter_table("jobs", table_kwargs=NUMBERED) as table:
        table.drop_index("ix_jobs_queue")
        table.drop_column("attempts_without_progress")
        table.add_column(sa.Column("open_request_sha256", sa.String(64), nullable=True))
        table.add_column(_filled("version", sa.String(64), "0.1.0"))
        table.add_column(_filled("host_class", sa.String(128), ""))
        table.add_column(_filled("submitter", sa.String(128), ""))
        table.add_column(sa.Column("wants_worker", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'")
    op.execute("UPDATE jobs SET wants_worker = (state = 'queued' AND cancel_requested_at IS NULL)")
    op.execute(
        "UPDATE jobs SET state = 'cancelled', finished_at = cancel_requested_at"
        " WHERE state = 'queued' AND cancel_requested_at IS NOT NULL"
    )
    with op.batch_alter_table("jobs", table_kwargs=NUMBERED) as table:
        for name in ("version", "host_class", "submitter", "wants_worker"):
            table.alter_column(name, server_default=None)
        table.create_index("ix_jobs_lane", LANE, unique=False, **WANTS)
        table.create_index("ix_jobs_state", ["state", "id"], unique=False)
        table.create_index("uq_jobs_open_request", ["open_request_sha256"], unique=True)


def _change_job_workloads() -> None:
    op.execute("UPDATE job_workloads SET state = 'queued' WHERE state = 'running'")
    with op.batch_alter_table("job_workloads") as table:
        table.add_column(sa.Column("attempt", sa.Integer(), nullable=True))
        table.add_column(_filled("tries", sa.Integer(), "0"))
        table.add_column(_filled("interruptions", sa.Integer(), "0"))
        table.add_column(sa.Column("failed_on", sa.String(255), nullable=True))
        table.add_column(sa.Column("reason", sa.Text(), nullable=True))
    with op.batch_alter_table("job_workloads") as table:
        for name in ("tries", "interruptions"):
            table.alter_column(name, server_default=None)
        table.create_index("ix_job_workloads_state", ["job_id", "state"], unique=False)
        table.create_index("ix_job_workloads_running", ["workload_id"], unique=False, **RUNNING)


def _change_attempts() -> None:
    op.execute("UPDATE attempts SET is_open = (1 = 0), outcome = 'lost' WHERE is_open")
    op.execute("UPDATE attempts SET host_class = '' WHERE host_class IS NULL")
    with op.batch_alter_table("attempts") as table:
        table.drop_column("server_id")
        table.drop_column("lease_expires_at")
        table.alter_column("host_class", existing_type=sa.String(128), nullable=False)
        table.add_column(_filled("worker", sa.String(255), ""))
        table.add_column(_filled("hostname", sa.String(255), ""))
        table.add_column(_filled("isa", sa.String(16), ""))
        table.add_column(sa.Column("has_taken", sa.Boolean(), nullable=False, server_default=sa.true()))
        table.add_column(sa.Column("process", sa.String(32), nullable=True))
        table.add_column(_filled("beats", sa.Integer(), "0"))
        table.add_column(_filled("progress", sa.Integer(), "0"))
    with op.batch_alter_table("attempts") as table:
        for name in ("worker", "hostname", "isa", "has_taken", "beats", "progress"):
            table.alter_column(name, server_default=None)


def _create_tables() -> None:
    op.create_table(
        "interests",
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("caller", sa.String(128), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_interests_job_id_jobs")),
        sa.PrimaryKeyConstraint("job_id", "caller", name=op.f("pk_interests")),
    )
    op.create_table(
        "turns",
        sa.Column("submitter", sa.String(128), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("submitter", name=op.f("pk_turns")),
    )
    op.create_table(
        "ailing_hosts",
        sa.Column("hostname", sa.String(255), nullable=False),
        sa.Column("failed_at", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_aside_at", sa.BigInteger(), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hostname", name=op.f("pk_ailing_hosts")),
    )
    op.create_table(
        "database",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("leader", sa.String(64), nullable=True),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_database")),
    )


def _filled(name: str, kind: sa.types.TypeEngine[Any], default: str) -> sa.Column[Any]:
    """Rows that are there get the default; later ones have to bring a value."""
    return sa.Column(name, kind, nullable=False, server_default=sa.text(f"'{default}'"))


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
