"""Run by Alembic, on the connection and in the transaction of `upgrade`."""

from alembic import context

from textmod_console.store.migrations import VERSION_TABLE
from textmod_console.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
