"""Registration, at build time: derives the realm and `registry.lock` from registry.yaml and code; pins packages."""
