"""The SPIFFE agent of one machine: launches measured code; only what it launched gets an identity."""
