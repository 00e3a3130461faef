"""Starts everything on one machine without Docker, and walks through it."""
