"""Pure decisions: no Kafka, no network, no clock."""
