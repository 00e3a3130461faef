"""What attestation and all parties have in common."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

SOCKET = Path("/run/identity/api.sock")


class Settings(BaseSettings):
    """Read from the environment.  A party whose variables differ from these gets no identity."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    registry: str
    registry_party: str
    issuer: str
    issuer_at: str

    @property
    def variables(self) -> dict[str, str]:
        """The same, as variables."""
        return {f"ZT_{name.upper()}": str(value) for name, value in self} | {"SPIFFE_ENDPOINT_SOCKET": f"unix:{SOCKET}"}
