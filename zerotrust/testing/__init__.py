"""What tests of a party need: an issuer, an authority for certificates, and the party guarded in process.

No service imports it.  It makes keys and tokens of its own, which nobody believes who was not told to.
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
