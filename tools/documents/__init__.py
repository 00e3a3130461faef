"""The documents tool."""
