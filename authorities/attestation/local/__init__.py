"""The SPIFFE agent of one machine: launches measured code, issues SVIDs to it, and holds the trust domain's keys."""
