"""What a function belongs to, when the benchmark says where the time of a task goes.  Pure."""

import os
from collections.abc import Iterable
from pathlib import Path

REST = "handlers, SDKs, HTTP and the event loop"
"""What parties without security run as well."""
PARTS = {
    "TLS": ("spiffe/tls", "spiffe/records"),
    "signatures of receipts": ("spiffe/statement",),
    "receipts": ("receipts/", "sealing"),
    "records and commits": ("audit/", "durable"),
    "delivery to the audit log": ("audit/delivery", "audit/ledger", "audit/tail"),
    "exchanges, from the cache": ("issuer/exchange",),
    "verification of tokens": ("token_validation", "issuer/jwks"),
    "policies": ("policy", "decision"),
    "revocations": ("revocation",),
    "the registry's feed, and new certificates": ("registry/feed", "registry/policy_bundle", "spiffe/workload"),
    "requests and JSON, read strictly": ("transport/requests", "limits/strict_json", "limits/answers"),
    "the app's router, asked by the gate": ("routing",),
    "limits and turns": ("limits/turns", "limits/in_flight"),
    "the gate itself": ("gate", "call", "context", "clock", "dialect", "identity"),
}
"""The modules of each part, by how their paths in `zerotrust` begin; the longest beginning counts."""
GATE = "the gate itself"
_BY_START = sorted(((start, name) for name, starts in PARTS.items() for start in starts), key=lambda it: -len(it[0]))
_OURS, _STANDARD = "/zerotrust/", str(Path(os.__file__).parent)


def part(files: Iterable[str]) -> str:
    """Return the part that runs, from the files of the functions that are under way, the innermost first.

    What a library does counts for the part that called it.  The gate calls every handler, so of what is called by it
    only Python's own library counts for it.
    """
    only_python = True
    for file in files:
        _, ours, path = file.rpartition(_OURS)
        found = next((name for start, name in _BY_START if path.startswith(start)), None) if ours else None
        if found:
            return found if found != GATE or only_python else REST
        only_python &= file.startswith(("<", _STANDARD)) and "site-packages" not in file
    return REST
