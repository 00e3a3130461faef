"""The writer agent."""
