"""The ids of the topics: one that is created again under its name has another."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "topics",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_topics")),
    )


def downgrade() -> None:
    """Drop the table: the next console stores the ids that it finds."""
    op.drop_table("topics")
