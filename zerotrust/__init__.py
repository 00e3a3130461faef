"""The library every service here is built from: verify, decide, record, narrow, act."""
