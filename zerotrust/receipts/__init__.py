"""Signed receipts: each party says what it did for a request, and a client verifies who took part in its task."""
