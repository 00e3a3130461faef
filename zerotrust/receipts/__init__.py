"""Signed receipts, in which each party says what it did for a request.  `evidence` verifies them."""
