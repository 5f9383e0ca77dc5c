"""The review console of one TextModeration: Kafka is the record, the database its projection."""
