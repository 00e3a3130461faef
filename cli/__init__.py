"""`zt`, what operators use."""
