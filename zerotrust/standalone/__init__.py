"""The gate in front of a service from outside this system."""
