"""Sessions that were ended before their time."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ended_sessions",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_ended_sessions")),
    )


def downgrade() -> None:
    """Drop the table: the sessions in it last until their eight hours are over."""
    op.drop_table("ended_sessions")
