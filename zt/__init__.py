"""`zt`, the operators' command."""
