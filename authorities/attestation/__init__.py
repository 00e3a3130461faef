"""Attestation: who a process is follows from the code that was measured and launched, and from nothing it says."""
