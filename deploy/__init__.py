"""Where parties run, and what a stack of containers needs before its first start."""
