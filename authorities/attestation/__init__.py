"""Attestation: the identity of a process follows from its measured code, not from what the process claims.

`verifier` measures and reports; `local` launches parties on one machine and issues their SVIDs.
"""
