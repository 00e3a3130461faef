"""Public conformance suites and clients against the running system: `make conformance`, `docs/conformance.md`."""
