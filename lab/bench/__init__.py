"""The cost of zero trust: the same task with it and without, at the same time, on the same machine."""
