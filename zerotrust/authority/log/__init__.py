"""What the audit log is made of: its leaves, its files, and its proofs."""
