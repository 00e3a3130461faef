"""Processes: who is at the other end of a connection, and how a process is closed to others of the same user."""
