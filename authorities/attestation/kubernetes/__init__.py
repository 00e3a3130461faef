"""Our verifier on Kubernetes, where SPIRE issues the identities: it tells SPIRE which pods are parties, as built.

The verifier is that of containers.  `spire_plugin` is the program by which SPIRE's agent asks it.

It does not give this: SPIRE asks once for each stream of X.509-SVIDs, and renews those of code that has changed
since.  It asks for each JWT-SVID, so such code gets no further token, and the drift report has the registry suspend it
at once.
Who may create pods in the parties' namespace can start an approved image with another command, which then writes the
right one over its own.  A pod cannot have a temporary folder without programs (`noexec`).
"""
