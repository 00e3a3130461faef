"""`zt policy`: what the parties may do, read, tested, activated and explained."""
