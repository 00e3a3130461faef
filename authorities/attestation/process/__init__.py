"""Identifies the process at the other end of a connection, and closes a process to others of the same user."""
