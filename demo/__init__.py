"""Walks through the system that `local` starts: a task, what is refused, and what is revoked."""
