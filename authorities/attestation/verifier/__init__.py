"""The verifier: measures code, watches it, and reports differences from what was approved.

It does not depend on how a party was started.
"""
