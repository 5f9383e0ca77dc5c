"""The schema's versions, and the step to the newest one at every start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from textmod_console.errors import ConfigurationError
from textmod_console.store.engine import Database, lock_for_migration

VERSION_TABLE = "schema_version"


def upgrade(database: Database, to: str = "head") -> None:
    """Bring the database to this program's version; several replicas may start at once.

    Raises:
        ConfigurationError: a newer program has changed it; nothing is written.
    """
    with database.write() as connection:
        lock_for_migration(connection)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent))
        config.attributes["connection"] = connection
        _check(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, to)


def _check(connection: Connection, ours: ScriptDirectory) -> None:
    """Refuse a database with a version that this program does not have."""
    options = {"version_table": VERSION_TABLE}
    found = MigrationContext.configure(connection, opts=options).get_current_revision()
    known = {script.revision for script in ours.walk_revisions()}
    if found is not None and found not in known:
        message = (
            f"the database has the schema {found} of a newer console, and this one knows up to "
            f"{ours.get_current_head()}: run that version or a newer one. To go back, wait until "
            "that one has written its decisions (textmod_console_outbox_events is 0), and give "
            "this one an empty database: it reads the topics."
        )
        raise ConfigurationError(message)
