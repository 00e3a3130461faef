"""The settings that attestation and all parties have in common."""

import os
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

SOCKET = Path("/run/identity/api.sock")
OF_REGISTRY = {"ZT_FILES": "/app", "ZT_DEPLOYMENT": "/app/start/generated/containers.yaml"}
OF_POLICY = {"ZT_POLICIES": "/app/policies"}
"""The places from which these two parties read what they publish: only their images, where it is measured."""


class Settings(BaseSettings):
    """Read from the environment.  A party whose variables differ from these gets no identity."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    registry: str
    registry_party: str
    issuer: str
    issuer_at: str

    @property
    def variables(self) -> dict[str, str]:
        """The settings as variables, together with those that the registry and the policy authority need.

        The search path is that of the base image, which attestation shares with the parties.
        """
        own = {f"ZT_{name.upper()}": str(value) for name, value in self} | {"PATH": os.environ["PATH"]}
        return own | OF_REGISTRY | OF_POLICY | {"SPIFFE_ENDPOINT_SOCKET": f"unix:{SOCKET}"}
