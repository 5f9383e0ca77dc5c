"""The digest of the projected state, and emptying the projection for a rebuild.

The digest leaves out what the topics don't hold: claims, decisions that are not read back yet, and
items whose text was erased and counts, since the review topic may not have them any more.
"""

import hashlib

from sqlalchemy import Connection, delete, select, update

from textmod_console.store.schema import (
    absences,
    appeals,
    claims,
    counted,
    counted_ranges,
    decisions,
    head,
    items,
    positions,
    score_bins,
    topics,
)


def digest(connection: Connection) -> str:
    """Return the SHA-256 of items, decisions and appeals, in hexadecimal."""
    found = hashlib.sha256()
    kept = select(
        items.c.item,
        items.c.text_sha256,
        items.c.request,
        items.c.state,
        items.c.standing,
        items.c.appeal,
        items.c.lane,
        items.c.rank,
        items.c.order_at,
    ).where(items.c.text.is_not(None))
    published = select(decisions.c.id, decisions.c.item, decisions.c.body).where(
        decisions.c.offset.is_not(None)
    )
    asked = select(appeals.c.appeal, appeals.c.item, appeals.c.body)
    # Sorted here: the databases compare strings each in their own way.
    for query in (kept, published, asked):
        rows = sorted(repr(tuple(row)) for row in connection.execute(query))
        for row in rows:
            found.update(row.encode())
            found.update(b"\n")
        found.update(b"--\n")
    return found.hexdigest()


def forget(connection: Connection) -> None:
    """Delete everything that can be read from the topics; unpublished events stay in the outbox."""
    read = (
        items,
        appeals,
        score_bins,
        counted,
        counted_ranges,
        positions,
        topics,
        claims,
        absences,
    )
    for table in read:
        connection.execute(delete(table))
    connection.execute(delete(decisions).where(decisions.c.offset.is_not(None)))
    connection.execute(update(head).values(caught_up=False))
