"""The parts of the audit log: its leaves, its files, and its proofs."""
