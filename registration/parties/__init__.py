"""Parties that a command adds to the project, and takes out again: what that writes into which file."""
