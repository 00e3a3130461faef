"""The attestation authority's keys for JWT-SVIDs, and where Keycloak fetches them."""

from typing import Any

from authorities.attestation.spiffe.bundle import PATH
from zerotrust.registry.model import Registry


def identity_provider(registry: Registry) -> dict[str, Any]:
    """Return the identity provider by which workloads authenticate."""
    return {
        "alias": "spiffe",
        "providerId": "spiffe",
        "enabled": True,
        "hideOnLogin": True,
        "config": {
            "trustDomain": f"spiffe://{registry.trust_domain}",
            "bundleEndpoint": f"{registry.address(registry.authorities.attestation)}{PATH}",
            "fedClientAssertionMaxExp": str(registry.freshness.svid),
        },
    }
