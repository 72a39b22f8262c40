"""Say which job a workload is known from, and find it; what a job waits for is not stored any more."""

import sqlalchemy as sa
from alembic import op

revision = "known"
down_revision = "choices"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job_workloads", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("known_from_job", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_job_workloads_known_from_job_jobs"), "jobs", ["known_from_job"], ["id"]
        )
    with op.batch_alter_table("job_workloads", schema=None) as batch_op:
        batch_op.create_index(
            "ix_job_workloads_tuned",
            ["workload_id", "job_id"],
            unique=False,
            sqlite_where=sa.text("schedule_id IS NOT NULL AND seconds IS NOT NULL"),
            postgresql_where=sa.text("schedule_id IS NOT NULL AND seconds IS NOT NULL"),
        )
    op.execute("UPDATE jobs SET reason = NULL WHERE state = 'queued' AND reason LIKE 'it waits: %'")


def downgrade() -> None:
    with op.batch_alter_table("job_workloads", schema=None) as batch_op:
        batch_op.drop_index("ix_job_workloads_tuned")
    with op.batch_alter_table("job_workloads", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_job_workloads_known_from_job_jobs"), type_="foreignkey")
        batch_op.drop_column("known_from_job")
