"""For tests of a party: an issuer, a certificate authority, and the party behind its gate in this process.

No service imports it.  It makes keys and tokens of its own, which no party trusts that is not configured to.
"""

from zerotrust.testing.ca import CA
from zerotrust.testing.guarded import Guarded, Identity, guarded, principal
from zerotrust.testing.issuer import ISSUER, Issuer
from zerotrust.testing.registry import policies_of, registry_of
from zerotrust.testing.wire import Wire, alive, fresh_revocations

__all__ = [
    "CA",
    "ISSUER",
    "Guarded",
    "Identity",
    "Issuer",
    "Wire",
    "alive",
    "fresh_revocations",
    "guarded",
    "policies_of",
    "principal",
    "registry_of",
]
