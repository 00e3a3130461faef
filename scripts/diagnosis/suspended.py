"""Parties that are suspended: they get no feed from the registry, so they start in vain.  Pure."""

from scripts.diagnosis.verdict import Verdict, note, skipped, wrong

DRIFT = "drift: "
"""How the cause begins where attestation found changed code (`authorities/registry/operators.py`)."""
Suspended = tuple[tuple[str, str], ...] | None
"""Each party with the cause.  None: the registry's database cannot be read."""


def suspended(found: Suspended, *, running: bool) -> list[Verdict]:
    """Return the verdict on suspended parties, none without any.  `running`: whether an operator can reinstate them."""
    if found is None:
        return [skipped("suspended", "the registry's database cannot be read")]
    if not found:
        return []
    names = ", ".join(name for name, _ in found)
    name, cause = found[0]
    said = f"{names}: all their requests are refused, also after a restart ({cause})"
    if not running:
        return [note("suspended", said, f"zt party reinstate {name}")]
    if cause.startswith(DRIFT):
        said += "; first put the approved code back and restart it, or reinstatement is refused"
    return [wrong("suspended", said, f"zt party reinstate {name}   (zt party show {name} says since when)")]
