"""Adds a party to the project: what a command writes into which file."""
