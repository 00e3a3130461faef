"""One party as the benchmark launches it."""
