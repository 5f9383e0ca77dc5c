"""Everything that talks to Kafka brokers: topics, lag, offsets. The one door to Kafka's clients."""
