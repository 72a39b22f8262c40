"""Find what refers to a row that is to be deleted without reading a whole table."""

from alembic import op

revision = "retention"
down_revision = "workloads"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_job_workloads_schedule", "job_workloads", "schedule_id"),
    ("ix_job_workloads_known_from_job", "job_workloads", "known_from_job"),
    ("ix_schedules_job", "schedules", "job_id"),
    ("ix_idempotency_keys_job", "idempotency_keys", "job_id"),
)


def upgrade() -> None:
    for name, table, column in INDEXES:
        op.create_index(name, table, [column])


def downgrade() -> None:
    for name, table, _ in INDEXES:
        op.drop_index(name, table)
