"""The kit for tests of a party: an issuer, a certificate authority, and the party behind its gate in this process.

No service imports it.  It makes keys and tokens of its own, which a party trusts only if it is configured to.
`stack`, `users`, `intruders` and `rogue` have the system in real containers; `pytest_plugin` has fixtures for it.
Each name here is imported when it is first used: pytest loads that plugin wherever this package is installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testkit.ca import CA as CA
    from testkit.issuer import Issuer as Issuer
    from testkit.party import Guarded as Guarded
    from testkit.party import Identity as Identity
    from testkit.party import guarded as guarded
    from testkit.party import principal as principal
    from testkit.registry import policies_of as policies_of
    from testkit.registry import registry_of as registry_of

_MODULES = {
    "ca": "CA",
    "party": "Guarded Identity guarded principal",
    "issuer": "Issuer",
    "registry": "policies_of registry_of",
}
_WHERE = {name: f"testkit.{module}" for module, names in _MODULES.items() for name in names.split()}

__all__ = [*_WHERE]  # noqa: PLE0604 - strings, all of them


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
