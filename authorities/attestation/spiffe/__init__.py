"""The services of a SPIFFE agent: the Workload API and the trust bundle, and the keys that it signs with.

It does not know how a workload was started: `Processes` (`workload_api.py`) says which one is asking.
"""
