"""Walks through the system that `start` starts: a task, what is refused, and what is revoked."""
