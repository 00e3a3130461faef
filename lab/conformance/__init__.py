"""Public conformance suites and clients against the running system: `make conformance`.

`docs/reference/conformance.md` has the results.
"""
