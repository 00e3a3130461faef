"""Whose keys sign JWT-SVIDs: the attestation authority's, where Keycloak reads them."""

from typing import Any

from authorities.attestation.local.bundle import PATH
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import ATTESTATION_PARTY


def identity_provider(registry: Registry) -> dict[str, Any]:
    """The identity provider by which workloads authenticate."""
    return {
        "alias": "spiffe",
        "providerId": "spiffe",
        "enabled": True,
        "hideOnLogin": True,
        "config": {
            "trustDomain": f"spiffe://{registry.trust_domain}",
            "bundleEndpoint": f"{registry.address(ATTESTATION_PARTY)}{PATH}",
            "fedClientAssertionMaxExp": str(registry.freshness.svid),
        },
    }
