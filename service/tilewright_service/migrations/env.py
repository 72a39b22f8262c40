"""Run by alembic; the connection is handed in by `store.schema`."""

from alembic import context

from tilewright_service.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
