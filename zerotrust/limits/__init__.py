"""Bounds on what a caller, or an answer, can cost."""
