"""Attestation: the identity of a process follows from its measured code, not from what the process claims.

`verifier` measures and reports, `spiffe` issues SVIDs, and `local` launches parties on one machine.
"""
