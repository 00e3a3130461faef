"""The verifier: measures code, watches it, and reports what differs from what was approved.

It does not know how a party was started.
"""
