"""Bounds the cost of a caller, of an answer, and of a file."""
