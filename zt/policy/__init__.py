"""`zt policy`: reads, tests, activates and explains the policies."""
