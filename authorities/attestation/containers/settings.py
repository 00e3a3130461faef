"""What attestation and all parties have in common."""

import os
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

SOCKET = Path("/run/identity/api.sock")
OF_REGISTRY = {
    "ZT_FILES": "/app",
    "ZT_DEPLOYMENT": "/app/start/containers.yaml",
}
OF_POLICY = {"ZT_POLICIES": "/app/policies"}
"""From where these two read what they publish: from their images, where it is measured, and from nowhere else."""


class Settings(BaseSettings):
    """Read from the environment.  A party whose variables differ from these gets no identity."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    registry: str
    registry_party: str
    issuer: str
    issuer_at: str

    @property
    def variables(self) -> dict[str, str]:
        """The same, as variables, and what the registry and the policy authority have to have as well.

        The search path is that of the base image, which attestation shares with the parties.
        """
        own = {f"ZT_{name.upper()}": str(value) for name, value in self} | {"PATH": os.environ["PATH"]}
        return own | OF_REGISTRY | OF_POLICY | {"SPIFFE_ENDPOINT_SOCKET": f"unix:{SOCKET}"}
