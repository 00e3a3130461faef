"""Our verifier on Kubernetes, where SPIRE issues the identities: it tells SPIRE which pods are parties, as built.

The verifier is that of containers.  `spire_plugin` is the program by which SPIRE's agent asks it.
"""
