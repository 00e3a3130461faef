"""What attestation and all parties have in common."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

SOCKET = Path("/run/identity/api.sock")
OF_REGISTRY = {
    "ZT_FILES": "/app",
    "ZT_POLICIES": "/app/policies",
    "ZT_DEPLOYMENT": "/app/deploy/containers.yaml",
}
"""From where the registry reads what it publishes: from its image, where it is measured, and from nowhere else."""


class Settings(BaseSettings):
    """Read from the environment.  A party whose variables differ from these gets no identity."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    registry: str
    registry_party: str
    issuer: str
    issuer_at: str

    @property
    def variables(self) -> dict[str, str]:
        """The same, as variables, and what the registry has to have as well."""
        own = {f"ZT_{name.upper()}": str(value) for name, value in self}
        return own | OF_REGISTRY | {"SPIFFE_ENDPOINT_SOCKET": f"unix:{SOCKET}"}
