"""Parties that a command adds to the project: what that writes into which file."""
