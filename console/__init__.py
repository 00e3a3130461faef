"""The console: what happens in the system, in a browser."""
