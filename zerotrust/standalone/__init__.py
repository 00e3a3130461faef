"""The gate in front of a service that is no party of this system."""
