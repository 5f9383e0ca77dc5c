"""Counts of all verdicts, and the ranges of offsets that they are of."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. Counts that an older console has skipped are read by `rebuild` alone."""
    op.create_table(
        "counted",
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("policies", sa.Text(), nullable=False),
        sa.Column("texts", sa.Float(), nullable=False),
        sa.Column("scores", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint(
            "at", "model", "version", "flagged", "policies", name=op.f("pk_counted")
        ),
    )
    op.create_table(
        "counted_ranges",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "first", name=op.f("pk_counted_ranges")),
    )


def downgrade() -> None:
    """Drop the tables: they are a projection, and `rebuild` makes them again."""
    for table in ("counted", "counted_ranges"):
        op.drop_table(table)
