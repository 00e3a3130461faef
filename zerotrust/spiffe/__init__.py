"""Workload identity: SVIDs, the Workload API, TLS with SVIDs, and statements signed with one."""
