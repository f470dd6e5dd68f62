"""Where Kafka comes from: embedded, in memory, or somewhere else; and the topics on it."""
