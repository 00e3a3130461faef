"""A party as the benchmark launches it."""
