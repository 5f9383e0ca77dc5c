"""The database, SQLite or Postgres: the projection of the topics, claims, and the outbox."""
