"""The reader agent."""
