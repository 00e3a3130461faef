"""The audit log: events, the local journal, and counts of events that may come in floods."""
