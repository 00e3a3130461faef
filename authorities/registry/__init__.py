"""The registry: who takes part, and everything that is derived from that."""
