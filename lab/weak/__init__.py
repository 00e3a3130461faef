"""Services and clients that lack one control, each for one row of the attack catalogue."""
