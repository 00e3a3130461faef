"""What happened, on record: the local journal, and the counts of what may come in floods."""
