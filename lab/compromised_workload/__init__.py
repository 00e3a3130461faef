"""An intruder inside a genuine workload."""
