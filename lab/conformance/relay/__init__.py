"""Runs as a genuine workload and lets a program outside use its Workload API."""
