"""The registry's model, lock and snapshots, and the feed that delivers them."""
