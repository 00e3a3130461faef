"""The registry's model and snapshots, and the feed that delivers them."""
