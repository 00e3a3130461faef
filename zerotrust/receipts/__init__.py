"""Signed receipts, in which each party states its acts for a request.  `evidence` verifies them."""
