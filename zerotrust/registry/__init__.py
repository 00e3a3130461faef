"""The registry as its followers see it: its model, its lock, signed snapshots, and the feed that brings them."""
