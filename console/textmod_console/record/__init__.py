"""The Kafka side: reads both topics into the store, publishes what the store's outbox holds."""
