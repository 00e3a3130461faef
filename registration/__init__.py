"""Registration, at build time: derives the realm and `registry.lock` from `registry.yaml` and the code."""
