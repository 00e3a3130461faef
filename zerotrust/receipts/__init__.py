"""Signed receipts: each party says what it did for a request.  Who verifies them is in `evidence`."""
