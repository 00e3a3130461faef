"""A workload that an intruder has compromised."""
