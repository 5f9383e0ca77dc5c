"""The schema's versions, and the step to the newest one at every start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

from textmod_console.store.engine import Database, lock_for_migration


def upgrade(database: Database) -> None:
    """Bring the database to this program's version; several replicas may start at once."""
    with database.write() as connection:
        lock_for_migration(connection)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_empty(database: Database) -> bool:
    """Tell whether the database has none of our tables yet."""
    return not inspect(database.engine).has_table("items")
