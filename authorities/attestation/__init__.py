"""Attestation: who a process is follows from the code that was measured, and from nothing it says.

`verifier` measures and reports; `local` launches parties on one machine and issues their SVIDs.
"""
