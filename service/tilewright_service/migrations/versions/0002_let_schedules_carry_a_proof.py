"""Let schedules carry a proof: null for those that were published without one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Documents are JSON objects without white space, as pydantic writes them.
document = sa.column("document", sa.Text())
schedules = sa.table("schedules", document)


def upgrade() -> None:
    opened = sa.func.substr(document, 1, sa.func.length(document) - 1)
    op.execute(schedules.update().values(document=opened.concat(',"proof":null}')))


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    without = sa.cast(document, JSONB()).op("-")(sa.literal("proof", sa.Text()))
    shortened = sa.func.json_remove(document, "$.proof") if is_sqlite else without
    op.execute(schedules.update().values(document=sa.cast(shortened, sa.Text())))
