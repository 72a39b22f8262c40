"""Run by alembic; the connection, and the transaction that it is in, are those of `store.schema`."""

from alembic import context

from tilewright_service.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
context.run_migrations()
